"""Runners die at every point of a transactional step, and around its commit."""

from __future__ import annotations

import itertools
from collections import Counter

from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from . import work
from .fleet import Fleet, Load, Runner, until
from .place import Measured, Place, Witness, witness
from .proxy import POINTS as COMMIT_POINTS
from .proxy import Proxy
from .servers import HOST, Server

ANSWER = "answer lost"  # the runner lives on and has to find out
ENDED = "connection ended"  # by somebody, in the middle of a transaction
POINTS = (*work.POINTS, *COMMIT_POINTS, ANSWER, ENDED)
# What attempts fail of whose connection is ended, by somebody or with the server.
CUT_OFF = ("Expected", "AdminShutdown", "CrashShutdown", "OperationalError")
MANY = 10  # faults, from which on there are three runners


def open_books(seen: Witness) -> None:
    """The tables of an application, in the database of the engine."""
    seen.conn.execute(
        "create table public.effects (workflow_step_id bigint, attempt int);"
        "create table public.accounts (account int primary key, balance int not null);"
        f"insert into public.accounts select n, 0 from generate_series(0, {work.ACCOUNTS - 1}) n"
    )


def check_books(seen: Witness) -> int:
    """Each step wrote once, in the transaction that completed it; how many did."""
    wrong = seen.rows(
        """
        select workflow_step_id, log.attempts as completed_by, wrote.attempt as written_by
        from (
            select log.workflow_step_id, log.attempts, log.xmin::text as transaction
            from workflow_step_transitions log
            join step_dag_relationships step using (workflow_step_id)
            where log.to_state = 'complete' and step.name in ('enter', 'post')
        ) log
        full join (select *, xmin::text as transaction from public.effects) wrote
            using (workflow_step_id, transaction)
        where log.attempts is distinct from wrote.attempt
        """
    )
    assert wrong == [], wrong
    effects = int(seen.one("select count(*) from public.effects"))
    assert effects > 0
    assert effects == seen.one("select count(distinct workflow_step_id) from public.effects")
    assert effects == seen.one("select sum(balance) from public.accounts")
    return effects


class _Proxied:
    """Runners, each behind a proxy of its own."""

    def __init__(self, fleet: Fleet, server: Server, database: str) -> None:
        self._fleet, self._server, self._dsn = fleet, server, server.dsn(database)
        self.proxies: dict[str, Proxy] = {}

    def start(self, runners: int = 1) -> None:
        for _ in range(runners):
            proxy = Proxy(HOST, self._server.port)
            self._fleet.dsn = make_conninfo(
                self._dsn, port=proxy.port, sslmode="disable", gssencmode="disable"
            )
            [runner] = self._fleet.start(1)
            self.proxies[runner.name] = proxy
        self._fleet.ready()

    def bury(self) -> int:
        """Put new ones in the place of those that died; how many did."""
        dead = [each for each in self._fleet.living if each.process.poll() is not None]
        for each in dead:
            self._fleet.kill(each)
            self.proxies.pop(each.name).close()
        if dead:
            self.start(len(dead))
        return len(dead)

    def close(self) -> None:
        for proxy in self.proxies.values():
            proxy.close()


def interrupted(place: Place, times: int) -> Measured:
    """kill -9 at each point of a handler and of its commit, in turn; lost answers between."""
    server = place.shared
    name = server.database()
    happened: Counter[str] = Counter()
    started: list[int] = []
    with (
        place.fleet(server.dsn(name), "--concurrency", "8", "--transactions", "4") as fleet,
        witness(server.dsn(name)) as seen,
    ):
        open_books(seen)
        proxied = _Proxied(fleet, server, name)
        try:
            proxied.start(2 if times < MANY else 3)
            with Load(
                server.dsn(name), place.seed, pause=0.05, seconds=0.05, workflow="ledger"
            ) as load:
                load.wait_for(10)
                order = place.random.sample(POINTS, len(POINTS))
                for point in itertools.islice(itertools.cycle(order), times):
                    runner = place.random.choice(fleet.living)
                    _inject(place, point, runner, proxied, seen, started)
                    happened[point] += 1
                    proxied.bury()
                started += load.stop()
            seen.settle(started, gone=fleet.gone, failures=CUT_OFF)
            effects = check_books(seen)
        finally:
            proxied.close()
    points = ", ".join(f"{count} x {point}" for point, count in sorted(happened.items()))
    return Measured(
        f"{points}; {len(fleet.gone)} runners killed, {effects:,} steps: each wrote exactly once, "
        "in the transaction of its completion"
    )


def _inject(
    place: Place,
    point: str,
    runner: Runner,
    proxied: _Proxied,
    seen: Witness,
    started: list[int],
) -> None:
    """Let it happen, and wait until it has."""
    proxy = proxied.proxies[runner.name]
    if point in work.POINTS:
        context = {
            "seconds": 0.02,
            "account": 0,
            "dies": {"step": place.random.choice(["enter", "post"]), "point": point},
        }
        started.append(
            seen.one(
                "select create_task(name => 'ledger', namespace => 'chaos', context => %s)",
                Jsonb(context),
            )
        )
        until(lambda: proxied.bury() > 0, f"a runner died: {point}")
    elif point in COMMIT_POINTS:
        proxy.lose("complete_step", point, runner.process.kill)
        runner.process.wait()
    elif point == ANSWER:
        proxy.lose("complete_step")
    else:
        until(
            lambda: seen.rows(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = 'pgtasker'"
                " and state = 'idle in transaction' limit 1"
            ),
            "a transaction is interrupted",
        )
