"""The measurements behind docs/decisions: each decision against its alternative.

Both sides run in alternating pairs within one run, after a pair that does not count; the figures
are medians, the ratio is the median of the pairs' ratios. Writes results/decisions.md and .json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from bench import engine
from pgtasker import Client, Runner, UntilEmpty, Workflow
from pgtasker.runner import ahead

RESULTS = Path(__file__).parent / "results"
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")
CLIENTS = 16

FOREIGN_KEYS = """
    alter table workflow_steps add foreign key (task_id) references tasks;
    alter table workflow_step_edges add foreign key (parent_step_id) references workflow_steps;
    alter table workflow_step_edges add foreign key (child_step_id) references workflow_steps;
    alter table workflow_step_transitions
        add foreign key (workflow_step_id) references workflow_steps;
    alter table task_transitions add foreign key (task_id) references tasks;
    alter table step_queue add foreign key (workflow_step_id) references workflow_steps;
"""
NO_ROOM = """
    alter table tasks set (fillfactor = 100);
    alter table workflow_steps set (fillfactor = 100);
    alter table task_transitions set (fillfactor = 100);
    alter table workflow_step_transitions set (fillfactor = 100);
"""
HOLDER_INDEX = "create index on workflow_steps (runner_id) where runner_id is not null"
SQL_CLOCK = """
    create function sql_clock() returns timestamptz language sql stable
    set search_path from current return clock_timestamp();
    create function bare_sql_clock() returns timestamptz language sql stable
    return clock_timestamp();
"""

PLANNED_ANEW = """
    do $$ declare function regprocedure; begin
        for function in
            select oid from pg_proc where 'plan_cache_mode=force_generic_plan' = any (proconfig)
        loop
            execute format('alter function %s reset plan_cache_mode', function);
        end loop;
    end $$;
"""

BITMAPS = """
    do $$ declare function regprocedure; begin
        for function in
            select oid from pg_proc
            where proconfig @> '{enable_hashjoin=on, enable_bitmapscan=off}'
        loop
            execute format('alter function %s set enable_bitmapscan = on', function);
        end loop;
    end $$;
"""

THROUGH_THE_QUEUE = """
    create or replace function _keep_freed(
        queues text[],
        freed bigint[],
        task_ids bigint[],
        named_ids bigint[],
        are_held boolean,
        other_ids bigint[],
        max_steps integer,
        out step_ids bigint[],
        out leaves_some boolean
    )
    returns record language plpgsql volatile set search_path from current
    as $$ begin
        step_ids := '{}'; leaves_some := true;
    end; $$;
"""

ROW_OF_CLAIMS = """
    insert into claim_batches (runner_id, claim_id, step_ids, claim_ids)
    select 0, batch * 100, array_agg(number), array_agg(batch * 100 + number)
    from generate_series(1, 100) series (number);
    delete from claim_batches where runner_id = 0 and claim_id = batch * 100;
"""
ROWS_OF_CLAIMS = """
    insert into claims (runner_id, claim_id, workflow_step_id)
    select 0, batch * 100 + number, number from generate_series(1, 100) series (number);
    delete from claims where runner_id = 0 and claim_id = any (
        array(select batch * 100 + number from generate_series(1, 100) series (number)));
"""
CLAIMS = """
    create table claims (
        runner_id bigint, claim_id bigint, workflow_step_id bigint, timeout_at timestamptz,
        progress jsonb, primary key (runner_id, claim_id)
    )
"""

LOG = "_derived_readiness()"  # the most recent transitions and the edges

Round = dict[str, float]  # what was measured, with its unit -> figure
Measurement = Callable[[str, float], "list[Figure]"]  # of a server, in a size


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the results: what each pair of runs gave."""

    decision: str
    measured: str
    alternative: str
    as_is: list[float]
    otherwise: list[float]

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.as_is, self.otherwise, strict=True)
        return [other / max(one, 1e-9) for one, other in pairs]


def compare(
    decision: str,
    alternative: str,
    size: float,
    as_is: Callable[[], Round],
    otherwise: Callable[[], Round],
) -> list[Figure]:
    """Run both sides in pairs, the other one first in every second pair."""
    sides = (as_is, otherwise)
    pairs: list[dict[int, Round]] = []
    for number in range(1 + scaled(5, size)):
        order = (0, 1) if number % 2 else (1, 0)
        pairs.append({side: sides[side]() for side in order})
    counted = pairs[1:]
    return [
        Figure(
            decision,
            measured,
            alternative,
            [pair[0][measured] for pair in counted],
            [pair[1][measured] for pair in counted],
        )
        for measured in pairs[0][0]
    ]


def scaled(number: int, size: float) -> int:
    return max(1, round(number * size))


def no_foreign_keys(server: str, size: float) -> list[Figure]:
    figures = altered(server, size, "0001", "foreign keys", FOREIGN_KEYS)
    return [figure for figure in figures if "/s" in figure.measured]


def altered(
    server: str,
    size: float,
    decision: str,
    name: str,
    ddl: str,
    *,
    workflow: str = "linear",
    steps: int = 6,
    batch: int = 100,
) -> list[Figure]:
    """Creation and step rate of the install as it is against an altered one."""
    tasks = scaled(12_000 // steps, size)

    def rates(dsn: str) -> Round:
        seconds: list[float] = []
        with engine.connect(dsn) as conn:
            conn.execute("checkpoint")
            runner_id = engine.register_runner(conn)
            with engine.stopwatch(seconds):
                engine.create(conn, workflow, tasks)
            conn.execute("analyze")
            start = engine.value(conn, "select pg_current_wal_lsn()")
            with engine.stopwatch(seconds):
                engine.run_steps(conn, runner_id, steps * tasks, batch=batch)
            conn.execute("select deregister_runner(%s)", [runner_id])
            conn.execute("select pg_stat_force_next_flush()")
            wal = engine.value(conn, "select pg_current_wal_lsn() - %s::pg_lsn", start)
            hot = [
                engine.value(
                    conn,
                    "select 100.0 * n_tup_hot_upd / n_tup_upd from pg_stat_user_tables"
                    " where relname = %s",
                    table_name,
                )
                for table_name in ("workflow_steps", "workflow_step_transitions")
            ]
        return {
            "creation, tasks/s": tasks / seconds[0],
            "execution, steps/s": steps * tasks / seconds[1],
            "HOT updates of workflow_steps, %": float(hot[0]),
            "HOT updates of workflow_step_transitions, %": float(hot[1]),
            "WAL of the execution, kB a task": float(wal) / tasks / 1000,
        }

    with engine.install(server) as one, engine.install(server, ddl) as other:
        return compare(decision, name, size, partial(rates, one), partial(rates, other))


def remembered_heads(server: str, size: float) -> list[Figure]:
    """One claim after much work was done while an old transaction kept its dead rows."""
    with engine.install(server) as dsn, ExitStack() as stack:
        old, conn = (stack.enter_context(engine.connect(dsn)) for _ in range(2))
        old.execute("begin isolation level repeatable read")
        old.execute("select count(*) from step_queue")
        runner_id = engine.register_runner(conn)
        done = scaled(60_000, size)
        engine.create(conn, "single", done + 100)
        engine.run_steps(conn, runner_id, done, batch=500)
        conn.execute("update housekeeping set looked_at = '-infinity', search_at = '-infinity'")
        conn.execute("select maintain()")

        def claim(first_position: str) -> Round:
            seconds: list[float] = []
            for _ in range(5):
                conn.execute("begin")
                conn.execute("update housekeeping set looked_at = clock()")  # no look meanwhile
                conn.execute(f"update queue_heads set first_position = {first_position}".encode())
                with engine.stopwatch(seconds):
                    claimed = conn.execute("select claim_steps(%s, 10)", [runner_id]).fetchall()
                assert len(claimed) == 10
                conn.execute("rollback")
            return {f"claim of 10 after {done} steps, ms": 1000 * statistics.median(seconds)}

        return compare(
            "0002",
            "heads at 0",
            size,
            lambda: claim("first_position"),
            lambda: claim("0"),
        )


def no_notify_while_busy(server: str, size: float) -> list[Figure]:
    """Many clients, each creating one task per transaction; nobody sleeps, nobody listens."""
    program = shutil.which("pgbench", path=engine.programs()) or "pgbench"
    transactions = scaled(300, size)

    def rate(dsn: str, statement: str) -> Round:
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(statement)
            script.flush()
            command = [program, "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}"]
            command += [f"--transactions={transactions}", f"--file={script.name}", dsn]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = re.search(r"tps = ([\d.]+)", said)
        assert found is not None
        return {f"create_task by {CLIENTS} clients, tasks/s": float(found[1])}

    with engine.install(server) as dsn:
        return compare(
            "0003",
            "pg_notify in each",
            size,
            lambda: rate(dsn, "select create_task('single');"),
            lambda: rate(dsn, "select create_task('single'), pg_notify('bench', '');"),
        )


def waits_while_it_holds(server: str, size: float) -> list[Figure]:
    """How soon a runner that holds a long step starts what arrives every 100 to 200 ms."""
    with engine.install(server) as dsn:
        return asyncio.run(_pickup(dsn, size))


async def _pickup(dsn: str, size: float) -> list[Figure]:
    flow, holding = Workflow("arrivals"), Workflow("holding")
    pauses = random.Random(4)
    arrived = asyncio.Event()
    release = asyncio.Event()

    @flow.step
    async def arrive() -> None:
        arrived.set()

    @holding.step
    async def hold() -> None:
        arrived.set()
        await release.wait()

    async def latencies(conn: AsyncConnection[Any], forget: bool) -> Round:
        seconds: list[float] = []
        for _ in range(scaled(30, size)):
            await asyncio.sleep(pauses.uniform(0.1, 0.2))
            arrived.clear()
            async with conn.transaction():
                if forget:
                    await conn.execute("update runners set waiting_until = null")
                await conn.execute("select create_task('arrivals')")
            with engine.stopwatch(seconds):
                await arrived.wait()
        seconds.sort()
        return {
            "pickup, median, ms": 1000 * statistics.median(seconds),
            "pickup, 95th percentile, ms": 1000 * seconds[int(0.95 * (len(seconds) - 1))],
        }

    runner = Runner(dsn, [flow, holding], schema="pgtasker", concurrency=10)
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        running = asyncio.create_task(runner.run())
        while (await (await conn.execute("select exists (table runners)")).fetchone()) != (True,):
            await asyncio.sleep(0.05)
        await conn.execute("select create_task('holding')")
        await arrived.wait()
        loop = asyncio.get_running_loop()

        def side(forget: bool) -> Round:
            return asyncio.run_coroutine_threadsafe(latencies(conn, forget), loop).result()

        try:
            return await asyncio.to_thread(
                compare, "0004", "not marked", size, lambda: side(False), lambda: side(True)
            )
        finally:
            release.set()
            runner.stop()
            await running


def clock_in_plpgsql(server: str, size: float) -> list[Figure]:
    """A call of clock() against SQL functions, also stable, over clock_timestamp()."""
    calls = scaled(200_000, size)

    def cost(conn: engine.Connection, call: str) -> Round:
        seconds: list[float] = []
        for counted in (call, "number"):
            with engine.stopwatch(seconds):
                series = f"generate_series(1, {calls}) as series (number)"
                engine.value(conn, f"select count({counted}) from {series}")
        return {"clock, us a call": 1e6 * max(1e-9, seconds[0] - seconds[1]) / calls}

    with engine.install(server, SQL_CLOCK) as dsn, engine.connect(dsn) as conn:
        conn.execute("set jit = off")

        def against(name: str, call: str) -> list[Figure]:
            own, other = partial(cost, conn, "clock()"), partial(cost, conn, call)
            return compare("0005", name, size, own, other)

        return against("SQL", "sql_clock()") + against("SQL, no search_path", "bare_sql_clock()")


def claims_of_their_own(server: str, size: float) -> list[Figure]:
    """The install against one that also has the index that would replace claim_batches; and what
    the rows of claim_batches cost by themselves, one for a hundred claims."""
    with engine.install(server) as dsn:
        rows = partial(_churn, dsn, ROW_OF_CLAIMS, scaled(300, size))
        own = compare("0006", "no such rows", size, rows, lambda: dict.fromkeys(rows(), 0.0))
    return altered(server, size, "0006", "partial index too", HOLDER_INDEX) + own


def one_row_for_a_call(server: str, size: float) -> list[Figure]:
    """What began together is a row of claim_batches, against a row for each claim; both by
    themselves, a hundred claims at a time."""
    batches = scaled(300, size)
    with engine.install(server, CLAIMS) as dsn:
        one, many = (partial(_churn, dsn, sql, batches) for sql in (ROW_OF_CLAIMS, ROWS_OF_CLAIMS))
        return compare("0014", "a row for each claim", size, one, many)


def _churn(dsn: str, statements: str, batches: int) -> Round:
    """Rows of claims come and go, so many times a hundred claims, in one transaction."""
    loop = f"do $$ begin for batch in 1..{batches} loop {statements} end loop; end $$"
    seconds: list[float] = []
    position = "select (pg_current_wal_insert_lsn() - '0/0')::float8"
    with engine.connect(dsn) as conn:
        before = engine.value(conn, position)
        with engine.stopwatch(seconds):
            conn.execute(loop.encode())
        written = engine.value(conn, position) - before
    claims = batches * 100
    return {
        "rows of claims, us a claim": 1e6 * seconds[0] / claims,
        "WAL of rows of claims, bytes a claim": written / claims,
    }


def room_on_the_page(server: str, size: float) -> list[Figure]:
    return altered(server, size, "0007", "fillfactor 100", NO_ROOM)


def views_read_what_is_kept(server: str, size: float) -> list[Figure]:
    """The readiness of unfinished steps as the views have it, against the same from the log."""
    tasks = scaled(5000, size)

    def whole(conn: engine.Connection, source: str) -> Round:
        seconds: list[float] = []
        with engine.stopwatch(seconds):
            engine.value(conn, f"select count(row) from (select * from {source} offset 0) as row")
        return {f"readiness of {6 * tasks} steps, ms": 1000 * seconds[0]}

    with engine.install(server) as dsn, engine.connect(dsn) as conn:
        runner = engine.value(conn, "select register_runner(name => 'bench')")
        conn.execute(
            "select count(*) from create_tasks(name => 'linear', contexts => array_fill("
            "'{}'::jsonb, array[%s]))",
            [tasks],
        )
        for _ in range(scaled(tasks // 200, 1)):
            engine.value(
                conn,
                "select count(complete_step(workflow_step_id, claim_id)) from claim_steps("
                f"runner_id => {runner}, max_steps => 100)",
            )
        conn.execute("vacuum analyze")
        conn.execute("set jit = off")
        view = partial(whole, conn, "active_step_readiness_statuses")
        return compare("0008", "from the log", size, view, partial(whole, conn, LOG))


def by_the_batch(server: str, size: float) -> list[Figure]:
    """Steps of a batch found by one pass over the index against one look-up for each; and calls
    whose statements were planned once against the planner's own choice, and with bitmaps."""
    calls, tasks = scaled(200, size), scaled(2000, size)
    rounds = scaled(400, size)

    def look_up(conn: engine.Connection, source: str) -> Round:
        seconds: list[float] = []
        with engine.stopwatch(seconds):
            for _ in range(rounds):
                conn.execute(source.encode(), prepare=True)
        return {"look-up, us a step": 1e6 * seconds[0] / (rounds * 100)}

    def calling(dsn: str) -> Round:
        one: list[float] = []
        many: list[float] = []
        with engine.connect(dsn) as conn:
            runner_id = engine.register_runner(conn)
            engine.create(conn, "linear", tasks)
            for _ in range(calls):
                with engine.stopwatch(one):
                    engine.run_steps(conn, runner_id, 1, batch=1)
            steps = 6 * tasks - calls
            with engine.stopwatch(many):
                engine.run_steps(conn, runner_id, steps, batch=100)
            conn.execute("select deregister_runner(%s)", [runner_id])
        return {
            "claim and completion of one step, ms": 1000 * statistics.median(one),
            "execution, steps/s": steps / many[0],
        }

    hundred = "array(select 6 * number from generate_series(1, 100) as series (number))"
    one_by_one = f"""
        select count(step.task_id) from unnest({hundred}) as given (id) cross join lateral (
            select found.task_id from workflow_steps found
            where found.workflow_step_id = given.id offset 0
        ) step
    """
    at_once = f"""
        select count(step.task_id) from workflow_steps step
        where step.workflow_step_id = any ({hundred})
    """
    with (
        engine.install(server) as dsn,
        engine.install(server, PLANNED_ANEW) as anew,
        engine.install(server, BITMAPS) as bitmaps,
    ):
        with engine.connect(dsn) as conn:
            engine.create(conn, "linear", 200)
            conn.execute("set enable_seqscan = off")
            found = compare(
                "0009",
                "one by one",
                size,
                partial(look_up, conn, at_once),
                partial(look_up, conn, one_by_one),
            )
        for name, other in (("planned anew", anew), ("bitmaps", bitmaps)):
            found += compare("0009", name, size, partial(calling, dsn), partial(calling, other))
    return found


def answer_in_json(server: str, size: float) -> list[Figure]:
    """advance_json against advance, whose answer is jsonb."""
    tasks = scaled(2000, size)

    def rate(dsn: str, function: str) -> Round:
        seconds: list[float] = []
        with engine.connect(dsn) as conn:
            runner_id = engine.register_runner(conn)
            engine.create(conn, "linear", tasks)
            with engine.stopwatch(seconds):
                engine.run_steps(conn, runner_id, 6 * tasks, batch=100, function=function)
            conn.execute("select deregister_runner(%s)", [runner_id])
        return {"execution, steps/s": 6 * tasks / seconds[0]}

    with engine.install(server) as dsn:
        return compare(
            "0010",
            "jsonb",
            size,
            partial(rate, dsn, "advance_json"),
            partial(rate, dsn, "advance"),
        )


def claims_ahead(server: str, size: float) -> list[Figure]:
    """A runner whose handlers return at once, with claims ahead of its slots and without."""
    flow = Workflow("quick")
    tasks = scaled(2000, size)
    before = ahead.PER_SLOT

    async def step() -> dict[str, str]:
        return engine.RESULTS

    for number in range(6):
        flow.step(name=f"s{number}", after=[f"s{number - 1}"] if number else [])(step)

    def rate(dsn: str, per_slot: int) -> Round:
        seconds: list[float] = []
        ahead.PER_SLOT = per_slot
        try:
            with engine.connect(dsn) as conn:
                conn.execute(
                    "select count(*) from create_tasks('quick', %s)",
                    [[Jsonb(engine.CONTEXT)] * tasks],
                )
            once = Runner(dsn, [flow], schema="pgtasker", coordination=UntilEmpty())
            with engine.stopwatch(seconds):
                asyncio.run(once.run())
        finally:
            ahead.PER_SLOT = before
        return {"execution by a runner, steps/s": 6 * tasks / seconds[0]}

    with engine.install(server) as dsn:
        Client(dsn, schema="pgtasker").register(flow)
        return compare(
            "0011",
            "no claims ahead",
            size,
            partial(rate, dsn, before),
            partial(rate, dsn, 0),
        )


def goes_on(server: str, size: float) -> list[Figure]:
    """What a report frees is claimed with it, against all of it taking its place in the queue."""
    figures = altered(server, size, "0012", "all through the queue", THROUGH_THE_QUEUE)
    return [figure for figure in figures if "execution" in figure.measured]


def one_insert(server: str, size: float) -> list[Figure]:
    """What is claimed starts with the insert that reports, against one that follows it.

    Tasks of a single step free nothing that could be kept: without _keep_freed they take all from
    the queue, after the report.
    """
    figures = altered(
        server,
        size,
        "0013",
        "two inserts",
        THROUGH_THE_QUEUE,
        workflow="single",
        steps=1,
        batch=10,
    )
    return [figure for figure in figures if "execution" in figure.measured]


MEASUREMENTS: tuple[Measurement, ...] = (
    no_foreign_keys,
    remembered_heads,
    no_notify_while_busy,
    waits_while_it_holds,
    clock_in_plpgsql,
    claims_of_their_own,
    room_on_the_page,
    views_read_what_is_kept,
    by_the_batch,
    answer_in_json,
    claims_ahead,
    goes_on,
    one_insert,
    one_row_for_a_call,
)


def conditions(server: str, names: tuple[str, ...] = SETTINGS) -> dict[str, str]:
    """Where the figures come from."""
    with engine.connect(server) as conn:
        settings = {name: str(engine.value(conn, f"show {name}")) for name in names}
        version = str(engine.value(conn, "show server_version"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, "
        f"{memory:.0f} GiB; server and clients on it, load before {os.getloadavg()[0]:.1f}",
        "server": f"PostgreSQL {version}",
        "settings": ", ".join(f"{name} = {setting}" for name, setting in settings.items()),
    }


def table(where: dict[str, str], figures: list[Figure]) -> str:
    """The results as a document."""
    lines = [
        "# Measurements behind the decisions",
        "",
        "Made by `make bench-decisions`, which writes it anew.",
        "",
    ]
    lines += [f"- {what}: {value}" for what, value in where.items()]
    lines += [
        "",
        "Medians of alternating pairs; ratio: the median of the pairs' (lowest to highest).",
        "",
    ]
    lines += [
        "| decision | measured | as is | alternative | | ratio |",
        "|---|---|--:|---|--:|--:|",
    ]
    for figure in figures:
        as_is, otherwise = statistics.median(figure.as_is), statistics.median(figure.otherwise)
        middle, low, high = (pick(figure.ratios) for pick in (statistics.median, min, max))
        lines.append(
            f"| {figure.decision} | {figure.measured} | {as_is:,.5g} | {figure.alternative} "
            f"| {otherwise:,.5g} | {middle:.2f} ({low:.2f} to {high:.2f}) |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Run all measurements and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.decisions", description=__doc__)
    parser.add_argument("--dsn", help="a server, as superuser (default: a private one)")
    parser.add_argument("--size", type=float, default=1.0, help="scale of all sizes (default: 1)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write")
    given = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    with nullcontext(given.dsn) if given.dsn else engine.private_server() as server:
        where, figures = conditions(server), []
        for measure in MEASUREMENTS:
            print(f"{measure.__name__} ...", flush=True)
            figures += measure(server, given.size)
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / "decisions.md").write_text(table(where, figures))
    rows = [asdict(figure) for figure in figures]
    (given.results / "decisions.json").write_text(json.dumps({**where, "figures": rows}, indent=1))
    print(table(where, figures))


if __name__ == "__main__":
    main()
