"""The benchmarks of speed still run and prove what they did; how fast it was is not judged here."""

from __future__ import annotations

import json
import math

import pytest

from bench import scaling, targets, targets_report
from bench.figures import Measured, Row
from bench.history import History
from bench.peers import __main__ as peers
from bench.peers import environments, trial
from bench.proof import Mark, NotDoneError, require_consistency

from ..support.databases import Database, Databases

pytestmark = pytest.mark.newest_only

TINY = 0.002
STEPS_PER_SECOND = Row("line", "how fast", "steps/s", 100, "steps/s")
MILLISECONDS = Row("line", "how soon", "ms, p50", 10, "ms", at_most=True)


@pytest.mark.parametrize("line", targets.LINES, ids=lambda line: line.name)
def test_each_line_gives_the_figures_of_its_rows(server: Databases, line: targets.Line) -> None:
    """In a tiny size: without trouble, and beside a history where that is asked for."""
    asked = History(finished=20, recent=5, counted=False)
    [measured] = targets.measure(server.facts["dsn"], [line], TINY, 1, asked)
    assert measured.trouble == ""
    assert len(measured.runs) == 1
    assert len(measured.with_history) == int(line.beside_history)
    for run in measured.runs + measured.with_history:
        assert all(math.isfinite(figure) for figure in run.values())
        assert {row.measured for row in targets.ROWS if row.line == line.name} <= set(run)


def test_each_row_is_of_a_line() -> None:
    """And each line has a row."""
    assert {row.line for row in targets.ROWS} == {line.name for line in targets.LINES}


@pytest.mark.parametrize("name", scaling.LOADS)
def test_each_unusual_load_is_compared(server: Databases, name: str) -> None:
    """In a tiny size: both figures are numbers, and the document shows them."""
    found = scaling.measure(server.facts["dsn"], [name], 0.01)
    assert found
    document = scaling.document({"server": "this one"}, found)
    for each in found:
        assert math.isfinite(each.usual)
        assert math.isfinite(each.other)
        assert f"| {each.load} | {each.measured} |" in document


def test_a_run_that_did_all_of_its_work_is_believed(own_database: Database) -> None:
    """Every task complete, two rows in the log for each task and step."""
    db = own_database.main
    mark = Mark.of(db.conn)
    for task_id in [db.run_with("a->b") for _ in range(3)]:
        db.settle(task_id)
    mark.require(db.conn, tasks=3, steps=2)
    require_consistency(db.conn)


def test_a_run_that_left_something_is_not_believed(own_database: Database) -> None:
    """A task that is not complete is missed."""
    db = own_database.main
    mark = Mark.of(db.conn)
    db.settle(db.run_with("a->b"))
    db.run_with("a->b")
    with pytest.raises(NotDoneError):
        mark.require(db.conn, tasks=2, steps=2)


def test_a_run_that_did_something_twice_is_not_believed(own_database: Database) -> None:
    """A step that was released and claimed again has more than two rows in the log."""
    db = own_database.main
    mark = Mark.of(db.conn)
    task_id = db.run_with("a->b")
    db.release(db.claim_only("a"))
    db.settle(task_id)
    with pytest.raises(NotDoneError):
        mark.require(db.conn, tasks=1, steps=2)


def test_an_inconsistent_database_is_not_believed(own_database: Database) -> None:
    """Whatever check_consistency() finds stops the benchmark."""
    db = own_database.main
    db.run_with("a->b")
    db.run("begin; delete from step_queue")
    with pytest.raises(NotDoneError):
        require_consistency(db.conn)
    db.run("rollback")


def test_a_figure_is_held_against_its_target() -> None:
    """From below for rates, from above for times; a history may cost a tenth."""
    assert STEPS_PER_SECOND.attained(150) == 1.5
    assert MILLISECONDS.attained(20) == 0.5
    assert STEPS_PER_SECOND.worse(0.75) == 0.25
    assert MILLISECONDS.worse(1.25) == 0.25


def test_the_document_shows_targets_beside_figures() -> None:
    """Medians; what missed is bold, and counted."""
    runs = [{"steps/s": 99.0, "ms, p50": 9.0}, {"steps/s": 80.0, "ms, p50": 9.5}]
    beside = [{"steps/s": 66.0, "ms, p50": 9.0}, {"steps/s": 40.0, "ms, p50": 9.5}]
    measured = Measured("line", runs, beside)
    rows = [STEPS_PER_SECOND, MILLISECONDS]
    document = targets_report.document({"server": "this one"}, rows, [measured])
    assert "| how fast | 100 steps/s | **89.5** | 80 to 99 | 0.58 |" in document
    assert "| how soon | 10 ms | 9.25 | 9 to 9.5 | 1.00 |" in document
    assert "| 10 % worse | **42 % worse** | how fast | 1 of 2 within |" in document
    assert "1 of 3 targets met, 1 below half of the target." in document
    noisy = targets_report.document({}, rows, [measured], spread=0.5)
    assert "| 50 % worse | 42 % worse | how fast | 2 of 2 within |" in noisy
    kept = json.loads(targets_report.record({"server": "this one"}, rows, [measured]))
    assert [row["figure"] for row in kept["rows"]] == [89.5, 9.25]
    assert kept["lines"][0]["runs"] == runs


def test_the_document_says_what_could_not_be_measured() -> None:
    """The reason stands in the place of the figure."""
    document = targets_report.document({}, [MILLISECONDS], [Measured("line", trouble="it broke")])
    assert "| how soon | 10 ms | **it broke** | | |" in document


def test_this_engine_is_driven_as_its_peers_are(server: Databases) -> None:
    """In a tiny size: jobs, workflows and pickup have figures."""
    [own] = [peer for peer in peers.PEERS if not peer.python]
    found = peers.measure(own, server.facts["dsn"], TINY)
    assert found.trouble == []
    assert all([found.jobs, found.steps, found.pickup_p50, found.pickup_p99])
    assert "| pgtasker |" in peers.document({}, [found])


def test_a_peer_that_cannot_be_installed_is_reported(
    server: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason, in the table."""

    def refuse(peer: environments.Peer) -> None:
        raise environments.NotInstalledError("there is no such package")

    monkeypatch.setattr(peers, "interpreter", refuse)
    found = peers.measure(peers.PEERS[1], server.facts["dsn"], TINY)
    assert "**not installed: there is no such package**" in peers.document({}, [found])


def test_a_peer_whose_driver_fails_is_reported(
    server: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the last error that it printed."""
    [own] = [peer for peer in peers.PEERS if not peer.python]

    def fail(*_: object) -> list[str]:
        return ["sh", "-c", "echo 'Traceback' >&2; echo 'SomeError: it broke' >&2; exit 1"]

    monkeypatch.setattr(trial.Trial, "_command", fail)
    found = peers.measure(own, server.facts["dsn"], TINY)
    assert found.trouble == ["jobs: setup: SomeError: it broke"]
