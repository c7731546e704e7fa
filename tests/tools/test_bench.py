"""The measurements still run; what they measure is not judged here."""

from __future__ import annotations

import json
import math

import pytest

from bench import decisions, history, report, views
from bench.sampling import Figure, Side

from ..support.databases import Database, Databases

pytestmark = pytest.mark.newest_only


@pytest.mark.parametrize("measure", decisions.MEASUREMENTS, ids=lambda measure: measure.__name__)
def test_each_measurement_gives_figures(server: Databases, measure: decisions.Measurement) -> None:
    """In a tiny size: every figure is a number, and the document shows it."""
    dsn = server.facts["dsn"]
    figures = measure(dsn, 0.005)
    assert figures
    assert all(math.isfinite(number) for one in figures for number in (*one.as_is, *one.otherwise))
    document = decisions.table(decisions.conditions(dsn), figures)
    assert all(f"| {one.measured} |" in document for one in figures)


def test_the_results_that_are_kept_are_of_all_measurements() -> None:
    """Each decision has figures, from one run."""
    kept = json.loads((decisions.RESULTS / "decisions.json").read_text())
    numbers = {figure["decision"] for figure in kept["figures"]}
    assert numbers == {f"{number:04}" for number in range(1, len(decisions.MEASUREMENTS) + 1)}


def test_a_generated_history_is_one_that_could_have_happened(own_database: Database) -> None:
    """Nothing in it disagrees with anything, every verdict of the views is in it, as many tasks as
    were asked for, and each row of the log comes after the one before."""
    db = own_database.main
    asked = history.History(active=200, finished=200, recent=50, in_error=20)
    history.fill(db.conn, asked)
    db.assert_consistent()
    counted = "select count(*) from tasks where {}"
    assert db.one(counted.format("complete")) == asked.finished
    assert db.one(counted.format("not complete")) == asked.active + asked.in_error
    recent = "created_at > clock() - interval '30 days'"
    assert db.one(counted.format(f"complete and {recent}")) == asked.recent
    assert db.one(counted.format(f"not complete and {recent}")) == asked.active
    column = "select distinct {0} from active_task_execution_contexts where {0} is not null"
    assert set(db.column(column.format("execution_status"))) == {
        "blocked_by_failures",
        "has_ready_steps",
        "processing",
        "waiting_for_dependencies",
    }
    assert set(db.column(column.format("health_status"))) == {"healthy", "recovering", "blocked"}
    assert set(db.column(column.format("waiting_reason"))) == {
        "paused",
        "scheduled",
        "backoff",
        "runner",
        "dependencies",
    }
    assert set(db.column("select distinct state from tasks")) == {
        "pending",
        "in_progress",
        "complete",
        "error",
        "cancelled",
        "resolved_manually",
    }
    for log, entity in (
        ("workflow_step_transitions", "workflow_step_id"),
        ("task_transitions", "task_id"),
    ):
        backwards = f"""
            select count(*)
            from {log} log
            join {log} before using ({entity})
            where before.sort_key = log.sort_key - 1 and before.created_at > log.created_at
        """
        assert db.one(backwards) == 0
    assert db.one("select count(*) from workflow_step_transitions where created_at > clock()") == 0


def test_the_work_of_a_generated_history_goes_on(own_database: Database) -> None:
    """Runners claim what is ready in it and finish it, and more can be added to it."""
    db = own_database.main
    history.fill(db.conn, history.History(active=50, finished=10))
    while claimed := db.claim(100):
        for step in claimed:
            db.complete(step)
    db.assert_consistent()
    assert db.one("select count(*) from tasks where state = 'complete'") > 10
    history.fill(db.conn, history.History(active=50))
    db.assert_consistent()


def test_each_question_about_views_gives_figures(server: Databases) -> None:
    """In a tiny size: every question is answered without and with a history, where that is asked
    for, and the document shows it."""
    asked = history.History(finished=20, recent=10, in_error=5)
    figures = views.measure(server.facts["dsn"], [50], asked, 0.0)
    assert {figure.query for figure in figures} == {query.name for query in views.QUESTIONS}
    beside = {figure.query for figure in figures if figure.in_error}
    assert beside == {query.name for query in views.QUESTIONS if query.in_error}
    for figure in figures:
        sides = [side for side in (figure.without, figure.with_history) if side]
        assert all(math.isfinite(number) for side in sides for number in side.server)
        assert all(side.rows for side in sides), figure.query
    document = report.document({"server": "this one"}, figures)
    assert all(f"| {figure.query} |" in document for figure in figures)
    kept = json.loads(report.record({"server": "this one"}, figures))
    assert [figure["query"] for figure in kept["figures"]] == [figure.query for figure in figures]


def test_the_results_about_views_that_are_kept_are_of_all_questions() -> None:
    """Each question has figures for each number of unfinished tasks, from one run."""
    kept = json.loads((decisions.RESULTS / "views.json").read_text())
    found = {(figure["query"], figure["active"]) for figure in kept["figures"]}
    for query in views.QUESTIONS:
        for size in views.SIZES[:1] if query.alone else views.SIZES:
            assert (query.name, size) in found


def test_a_figure_above_its_target_is_a_miss() -> None:
    """Without a history the target counts; with one its own, or what it took without, plus 10 % or
    half a millisecond."""

    def misses(without: float, besides: float, target: float, own: float | None) -> list[str]:
        sides = (Side([without]), Side([besides]))
        return Figure("asked", 50, 0, target, own, *sides).misses

    assert misses(9.0, 9.4, 10.0, None) == []
    assert misses(11.0, 11.4, 10.0, None) == ["without"]
    assert misses(2.0, 2.6, 10.0, None) == ["with"]
    assert misses(100.0, 109.0, 110.0, None) == []
    assert misses(100.0, 111.0, 110.0, None) == ["with"]
    assert misses(9.0, 49.0, 10.0, 50.0) == []
    assert misses(9.0, 51.0, 10.0, 50.0) == ["with"]
