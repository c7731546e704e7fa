"""The table of targets: how fast the engine is, with and without a long history.

Responsible for the rows and their targets, for how often and where each line runs, and for the
command line. What a line does is left to lines.py and weather.py, how it reads to
targets_report.py.

Without `--quick`, each line runs in pairs: in a new install, and in one with a million finished
tasks. Everything happens in one run, between two looks at what a bare table can do.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import structlog

from bench import decisions, engine, history, lines, targets_report, weather
from bench.drivers import baseline
from bench.figures import Measured, Row, Run
from bench.proof import require_consistency

SETTINGS = {"shared_buffers": "1GB"}
RECORDED = (*SETTINGS, "fsync", "synchronous_commit", "full_page_writes", "max_wal_size")
FINISHED = 1_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """Something that runs; most of what it measures is one row, some of it none."""

    name: str
    measure: Callable[[str, float], Run]  # in a database, in a size
    beside_history: bool = True
    once: bool = False  # it takes long, and compares two sides by itself


LINES = (
    Line("bare", lines.bare_linear),
    Line("runner", lines.runner_async),
    Line("runner-sync", lines.runner_sync),
    Line("runner-single", lines.runner_single),
    Line("pickup", lines.pickup),
    Line("alone", lines.alone),
    Line("bulk", lines.bulk_creation),
    Line("one-by-one", lines.one_by_one),
    Line("old-transaction", weather.old_transaction, beside_history=False, once=True),
    Line("purge", weather.purging, beside_history=False, once=True),
    Line("claimers", weather.many_claimers, beside_history=False),
    Line("wide", weather.wide_join, beside_history=False),
)

P99 = "ms, p99"
ROWS = (
    Row("bare", "six-step linear tasks, SQL surface driven bare", "steps/s", 30_000, "steps/s"),
    Row("runner", "the same through `Runner`, async handlers", "steps/s", 15_000, "steps/s"),
    Row("runner-sync", "the same, sync handlers", "steps/s", 8_000, "steps/s"),
    Row("runner-single", "single-step tasks through `Runner`", "tasks/s", 15_000, "tasks/s"),
    Row("bulk", "bulk creation of six-step tasks", "tasks/s", 25_000, "tasks/s"),
    Row(
        "one-by-one",
        "creation one by one, 16 connections, of the same without wake-ups",
        "% of the same without wake-ups",
        90,
        "%",
    ),
    Row("pickup", "pickup latency on an idle runner, p50", "ms, p50", 2.5, "ms", at_most=True),
    Row("pickup", "pickup latency on an idle runner, p99", P99, 6, "ms", at_most=True),
    Row("alone", "one six-step task alone, p50", "ms, p50", 8, "ms", at_most=True),
    Row("bare", "WAL of a six-step task while it runs", "WAL, kB a task", 7, "kB", at_most=True),
    Row(
        "old-transaction",
        "throughput with an old transaction, of without",
        "% of without",
        75,
        "%",
    ),
    Row(
        "purge",
        "throughput while 100,000 finished tasks are purged, of without",
        "% of without",
        90,
        "%",
    ),
    Row("claimers", "50 claimers on one queue, of the best of 1 to 50", "% of the best", 80, "%"),
    Row(
        "wide",
        "10,000 parallel steps and their join, cost per step to linear",
        "times a linear step",
        1.2,
        "x",
        at_most=True,
    ),
)


def measure(
    server: str, chosen: Sequence[Line], size: float, runs: int, asked: history.History
) -> list[Measured]:
    """Run all lines, and all again: a slow minute of the machine is never all that a line sees."""
    found = [Measured(line.name) for line in chosen]
    with ExitStack() as stack:
        beside = stack.enter_context(_with_history(server, asked)) if asked.finished else None
        for number in range(runs):
            for line, measured in zip(chosen, found, strict=True):
                if not (measured.trouble or (line.once and number)):
                    _measure(server, line, size, number, beside, measured)
                    _say(f"{number + 1} of {runs}, {line.name}: {_shown(measured)}")
    return found


def _measure(
    server: str, line: Line, size: float, number: int, beside: str | None, measured: Measured
) -> None:
    """Run a line in a new install and, by turns before or after that, beside the history."""
    try:
        with engine.install(server) as dsn:
            lines.prepare(dsn)
            sides = [(dsn, measured.runs)]
            if beside and line.beside_history:
                sides.append((beside, measured.with_history))
            for where, kept in sides if number % 2 == 0 else reversed(sides):
                _caught_up(where)
                kept.append(line.measure(where, size))
            with engine.connect(dsn) as conn:
                require_consistency(conn)
    except Exception as error:  # noqa: BLE001 - it becomes part of the table
        measured.trouble = f"{type(error).__name__}: {error}"


def _caught_up(dsn: str) -> None:
    """What earlier runs wrote is taken as counted, as it is where runners go on: else one of the
    next run would count it."""
    with engine.connect(dsn) as conn:
        conn.execute(
            "update rollup_progress set next_xact_id = txid_current(), rolled_up_at = clock()"
        )


@contextmanager
def _with_history(server: str, asked: history.History) -> Iterator[str]:
    """An install with so many finished tasks, as autovacuum would leave it."""
    _say(f"{asked.finished:,} finished tasks ...")
    with engine.install(server) as dsn:
        lines.prepare(dsn)
        with engine.connect(dsn) as conn:
            conn.execute("set synchronous_commit = off")  # of this session alone
            history.fill(conn, asked)
            conn.execute("select pg_stat_force_next_flush()")  # or it counts as not yet vacuumed
            conn.execute("vacuum (freeze, analyze)")
            conn.execute("checkpoint")
        yield dsn


def _shown(measured: Measured) -> str:
    if measured.trouble:
        return measured.trouble
    return ", ".join(f"{what} {value:,.4g}" for what, value in measured.runs[-1].items())


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.targets", description=__doc__)
    names = [line.name for line in LINES]
    parser.add_argument("--dsn", help="a server, as superuser (default: a private one)")
    parser.add_argument("--quick", action="store_true", help="one small run of each, no history")
    parser.add_argument("--only", nargs="+", choices=names, metavar="LINE", help=", ".join(names))
    parser.add_argument("--runs", type=int, metavar="N", help="of each line (default: 3)")
    parser.add_argument("--size", type=float, metavar="X", help="scale of all sizes (default: 1)")
    parser.add_argument("--finished", type=int, metavar="N", help="tasks of the history")
    parser.add_argument("--results", type=Path, help="where to write, also of a part")
    parser.set_defaults(runs=3, size=1.0, finished=FINISHED)
    if parser.parse_known_args()[0].quick:
        parser.set_defaults(runs=1, size=0.5, finished=0)
    given = parser.parse_args()
    whole = not (given.quick or given.only)
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    finished = given.finished
    asked = history.History(finished=finished, recent=finished // 20, counted=False)
    chosen = [line for line in LINES if line.name in (given.only or names)]
    private = engine.private_server(SETTINGS)
    with nullcontext(given.dsn) if given.dsn else private as server:
        where = decisions.conditions(server, RECORDED)
        before = _baseline(server)
        found = measure(server, chosen, given.size, given.runs, asked)
        after = _baseline(server)
    where["machine"] += f", after {os.getloadavg()[0]:.1f}"
    where["baseline"] = f"{_range(before)} rows/s before, {_range(after)} after: {BASELINE}"
    where["clients"] = (
        f"{lines.CLIENTS} bare clients, {lines.BATCH} steps at a time; 2 processes with a `Runner` "
        f"each, concurrency {lines.CONCURRENCY}; latencies with one `Runner` and its defaults, at "
        "rest: vacuumed and after a checkpoint"
    )
    where["runs"] = f"medians of {given.runs}, sizes x {given.size:g}"
    if finished:
        where["history"] = f"{asked.finished:,} finished tasks of five shapes, on average 6.8 steps"
    document = targets_report.document(where, ROWS, found, _spread(before + after))
    print(document)
    results = given.results or (decisions.RESULTS if whole else None)
    if results:
        results.mkdir(parents=True, exist_ok=True)
        (results / "targets.md").write_text(document)
        (results / "targets.json").write_text(targets_report.record(where, ROWS, found))


def _baseline(server: str) -> list[float]:
    return [baseline.rows_per_second(server, 2) for _ in range(3)]


def _spread(rates: Sequence[float]) -> float:
    return (max(rates) - min(rates)) / statistics.median(rates)


def _range(rates: Sequence[float]) -> str:
    return f"{min(rates):,.0f} to {max(rates):,.0f}"


BASELINE = "a bare table, insert and dequeue with skip locked, 100 at a time, 2 connections"

if __name__ == "__main__":
    main()
