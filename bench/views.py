"""How long it takes to look: each tier of views and each report, without and with a history.

Two databases have the same unfinished tasks, one of them finished ones besides. Responsible for the
questions, their targets and the databases; sampling.py asks, report.py writes what came out.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import structlog

from bench import decisions, engine, report
from bench.history import History, fill
from bench.sampling import Database, Figure, Query, compare

SIZES = (50, 500, 5_000, 50_000)
SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "2GB",
    "fsync": "off",  # nothing that is measured writes
    "full_page_writes": "off",
    "autovacuum": "off",  # done before each measurement, so that it is not done during one
}
RECORDED = (*SETTINGS, "work_mem", "random_page_cost", "max_parallel_workers_per_gather", "jit")

WHOLE = (5.0, 10.0, 60.0, 500.0)
LIMITED = (5.0, 5.0, 10.0, 20.0)
SINGLE = (1.0, 1.0, 1.0, 1.0)
RECENT = (10.0, 10.0, 20.0, 20.0)
COUNTS = (10.0, 10.0, 20.0, 50.0)

CONTEXTS, STEPS = "task_execution_contexts", "step_readiness_statuses"
FILTERS = (
    (CONTEXTS, "true"),
    (CONTEXTS, "execution_status = 'has_ready_steps'"),
    (CONTEXTS, "health_status = 'recovering'"),
    (CONTEXTS, "status = 'error' and health_status = 'blocked'"),
    (STEPS, "true"),
    (STEPS, "ready_for_execution"),
    (STEPS, "current_state = 'error'"),
)


IN_PROGRESS = """
    select max(task.task_id), max(step.workflow_step_id)
    from tasks task
    join workflow_steps step on step.task_id = task.task_id
    join named_tasks named_task on named_task.named_task_id = task.named_task_id
    where not task.complete and step.state = 'in_progress' and named_task.name = 'mixed'
"""


def _questions() -> Iterator[Query]:
    for view in (CONTEXTS, STEPS):
        yield Query(f"active_{view}", f"select * from active_{view}", WHOLE)
    for view, condition in FILTERS:
        asked = f"active_{view} where {condition} limit 100"
        yield Query(asked, f"select * from {asked}", LIMITED, in_error=30.0)
    for function, arguments in (
        ("get_task_execution_context", "task_id => {task_id}"),
        ("get_step_readiness_status", "task_id => {task_id}"),
        ("get_step_readiness_status", "task_id => {task_id}, step_ids => array[{step_id}]"),
    ):
        name = f"{function} of a {'step' if 'step_id}' in arguments else 'task'}"
        yield Query(name, f"select * from {function}({arguments})", SINGLE)
    for view in (CONTEXTS, STEPS):
        asked = f"recent_{view} limit 100"
        yield Query(asked, f"select * from {asked}", RECENT, besides=50.0)
    for view in (CONTEXTS, STEPS):
        yield Query(f"recent_{view}", f"select * from recent_{view}", besides=500.0, alone=True)
    for view, column in (
        (CONTEXTS, "status"),
        (CONTEXTS, "execution_status"),
        (STEPS, "current_state"),
    ):
        statement = f"select {column}, count(*) from {view} group by 1"
        yield Query(f"{view} by {column}", statement, besides=2500.0, alone=True)
    for function in ("get_system_health_counts", "get_analytics_metrics"):
        yield Query(function, f"select * from {function}()", COUNTS, besides=100.0)
    for view in ("monitoring_metrics", "task_workflow_summaries"):
        yield Query(view, f"select * from {view}")
    limited = "task_workflow_summaries limit 100"
    yield Query(limited, f"select * from {limited}")


QUESTIONS = tuple(_questions())


def measure(server: str, sizes: Sequence[int], asked: History, seconds: float) -> list[Figure]:
    """Build both databases, with one number of unfinished tasks after the other, and ask each
    question for so many seconds."""
    figures: list[Figure] = []
    with ExitStack() as stack:
        conns = [
            stack.enter_context(engine.connect(stack.enter_context(engine.install(server))))
            for _ in range(2)
        ]
        _say(f"{asked.finished:,} finished tasks")
        fill(conns[1], History(finished=asked.finished, recent=asked.recent))
        there = 0
        for size in sizes:
            _say(f"{size:,} unfinished tasks")
            databases = [_grown(conn, History(active=size - there)) for conn in conns]
            there = size
            for query in QUESTIONS:
                if size == sizes[0] or not query.alone:
                    target = dict(zip(SIZES, query.targets, strict=False)).get(size)
                    figures.append(compare(databases, query, (size, 0), target, seconds))
        if asked.in_error:
            _say(f"{asked.in_error:,} tasks in error besides")
            databases = [_grown(conn, History(in_error=asked.in_error)) for conn in conns]
            for query in QUESTIONS:
                if query.in_error is not None:
                    tasks = (there, asked.in_error)
                    figures.append(compare(databases, query, tasks, query.in_error, seconds))
    return figures


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what} ...", flush=True)


def _grown(conn: engine.Connection, more: History) -> Database:
    """The database with more in it, as autovacuum would leave it."""
    fill(conn, more)
    conn.execute("vacuum (analyze)")
    found = conn.execute(IN_PROGRESS).fetchone()
    assert found is not None
    return Database(conn, {"task_id": found[0], "step_id": found[1]})


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.views", description=__doc__)
    parser.add_argument("--dsn", help="a server, as superuser (default: a private one)")
    parser.add_argument("--quick", action="store_true", help="small, and soon done")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="unfinished tasks")
    parser.add_argument("--finished", type=int, metavar="N", help="tasks of the history")
    parser.add_argument("--recent", type=int, metavar="N", help="those of the last weeks")
    parser.add_argument("--in-error", type=int, metavar="N", help="tasks in error at the end")
    parser.add_argument("--seconds", type=float, metavar="S", help="for each question")
    parser.add_argument("--results", type=Path, default=decisions.RESULTS, help="where to write")
    parser.set_defaults(
        sizes=list(SIZES), finished=1_000_000, recent=50_000, in_error=100_000, seconds=2.0
    )
    if parser.parse_known_args()[0].quick:
        parser.set_defaults(
            sizes=list(SIZES[:2]), finished=50_000, recent=2_500, in_error=5_000, seconds=0.5
        )
    given = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    asked = History(finished=given.finished, recent=given.recent, in_error=given.in_error)
    with nullcontext(given.dsn) if given.dsn else engine.private_server(SETTINGS) as server:
        where = decisions.conditions(server, RECORDED)
        figures = measure(server, given.sizes, asked, given.seconds)
    where["machine"] += f", after {os.getloadavg()[0]:.1f}"
    where["history"] = (
        f"{asked.finished:,} finished tasks, {asked.recent:,} of them of the last four weeks"
    )
    given.results.mkdir(parents=True, exist_ok=True)
    document = report.document(where, figures)
    (given.results / "views.md").write_text(document)
    (given.results / "views.json").write_text(report.record(where, figures))
    print(document)


if __name__ == "__main__":
    main()
