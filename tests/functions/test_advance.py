"""advance, advance_json: report a batch of outcomes and claim the next batch, in one commit."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Row, Session

function = "advance"


@pytest.fixture(autouse=True, params=["advance", "advance_json"])
def _both_functions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They differ in the type of the answer alone: jsonb, or JSON as text."""
    monkeypatch.setattr(sys.modules[__name__], "function", request.param)


def outcome(claimed: Any, kind: str = "complete", **more: Any) -> dict[str, Any]:
    """An outcome for a claimed step, which may be a row or an object of `claimed`."""
    get = claimed.get if isinstance(claimed, dict) else lambda name: getattr(claimed, name)
    ids = {name: get(name) for name in ("workflow_step_id", "claim_id")}
    return {**ids, "outcome": kind, **more}


def advance(db: Session, *outcomes: Any, max_steps: int = 10, runner: int | None = None) -> Row:
    return decoded(
        db.call(
            function,
            runner_id=db.runner if runner is None else runner,
            outcomes=db.json(list(outcomes)),
            max_steps=max_steps,
        )
    )


def decoded(answer: Row) -> Row:
    """With `claimed` as objects."""
    return answer._replace(claimed=json.loads(answer.claimed)) if function != "advance" else answer


def go_on(db: Session, goes_on: bool = True) -> None:
    """Have the next call go on with the tasks in hand, or begin with what waits."""
    for seed in range(100):
        db.run("select setseed(%s)", seed / 100)
        if (db.one("select random()") >= 0.125) is goes_on:
            db.run("select setseed(%s)", seed / 100)
            return
    raise AssertionError("no seed does that")


def names(claimed: list[dict[str, Any]]) -> list[str]:
    return [step["step_name"] for step in claimed]


def test_no_outcomes_is_claiming(db: Session):
    """`claimed` has the fields of claim_steps, as JSON."""
    db.define("a", steps={"a": {"timeout": 1.5, "inputs": {"x": 1}}})
    db.start(context={"n": 1}, tags=["t"])
    lost, claimed = advance(db)
    assert lost == []
    [step] = claimed
    advance(db, outcome(step, "release"), max_steps=0)
    again = db.claim_only("a")._asdict()
    assert {**step, "claim_id": 0} == {**again, "claim_id": 0}


def test_null_outcomes_are_none(db: Session):
    """Whoever has nothing to report may say it so."""
    db.run_with("a")
    answer = decoded(db.call(function, runner_id=db.runner, outcomes=None, max_steps=1))
    assert len(answer.claimed) == 1


def test_nothing_to_claim_is_an_empty_array(db: Session):
    """Not null, so that every language can walk over it."""
    assert advance(db) == ([], [])


def test_a_child_that_became_ready_is_in_the_next_batch(db: Session):
    """One round trip per generation of a task."""
    task = db.run_with("a->b->c")
    [a] = advance(db).claimed
    [b] = advance(db, outcome(a, results={"n": 1})).claimed
    assert (b["step_name"], b["dependency_results"]) == ("b", {"a": {"n": 1}})
    [c] = advance(db, outcome(b)).claimed
    assert advance(db, outcome(c, results={"n": 3})) == ([], [])
    assert db.task(task).results == {"c": {"n": 3}}


def test_outcomes_of_every_kind_in_one_batch(db: Session):
    """Each as its own function would have done it."""
    task = db.run_with("a b c d e f")
    a, b, c, d, e, f = sorted(advance(db).claimed, key=lambda step: step["step_name"])
    lost, claimed = advance(
        db,
        outcome(a, results={"n": 1}),
        outcome(b, "fail", error={"message": "boom"}),
        outcome(c, "fail", error={"message": "boom"}, retryable=False),
        outcome(d, "fail", error={"message": "boom"}, retry_after=17),
        outcome(e, "release"),
        outcome(f, "release", delay=5),
    )
    assert lost == []
    assert [step["step_name"] for step in claimed] == ["e"]
    assert db.steps_of(task) == {
        "a": "complete",
        "b": "error",
        "c": "error",
        "d": "error",
        "e": "in_progress",
        "f": "pending",
    }
    now = db.call("clock")
    waits = {
        step.name: (step.due_at - now).total_seconds()
        for step in db.steps(task)
        if step.due_at is not None
    }
    assert waits.keys() == {"b", "d", "f"}
    assert 1 <= waits["b"] <= 2
    assert (waits["d"], waits["f"]) == (17, 5)


def test_a_lost_claim_is_listed_and_the_others_count(db: Session):
    """One raced outcome never aborts its batch."""
    db.run_with("a b c")
    a, b, c = advance(db).claimed
    db.call("resolve_step", workflow_step_id=b["workflow_step_id"])
    lost, _ = advance(db, outcome(a), outcome(b), outcome(c))
    assert lost == [b["claim_id"]]
    assert db.state_of(a["task_id"]) == "complete"


@pytest.mark.parametrize(
    "strange",
    [
        lambda step: outcome(step) | {"claim_id": 987654321},
        lambda step: outcome(step) | {"workflow_step_id": 987654321},
    ],
    ids=["unknown claim", "unknown step"],
)
def test_what_is_unknown_is_lost(db: Session, strange: Any):
    """Like everything that is no longer held."""
    db.run_with("a b")
    a, b = advance(db).claimed
    wrong = strange(a)
    assert advance(db, wrong, outcome(b)).lost == [wrong["claim_id"]]


def test_the_same_claim_twice_in_a_batch_counts_once(db: Session):
    """It is one attempt."""
    task = db.run_with("a->b")
    [a] = advance(db).claimed
    _, claimed = advance(db, outcome(a), outcome(a))
    assert [step["step_name"] for step in claimed] == ["b"]
    assert len([e for e in db.history(task) if e.to_state == "complete"]) == 1


@pytest.mark.parametrize("backwards", [False, True])
def test_a_claim_that_is_complete_and_failed_in_a_batch_is_complete(db: Session, backwards: bool):
    """A batch has no order."""
    db.run_with("a->b")
    [a] = advance(db).claimed
    go_on(db)
    batch = [outcome(a), outcome(a, "fail", error={"message": "boom"})]
    _, claimed = advance(db, *(reversed(batch) if backwards else batch))
    assert names(claimed) == ["b"]


def test_a_step_under_two_claims_in_a_batch_ends_under_the_one_that_is_held(db: Session):
    """The other one is lost, also if it comes first, or twice."""
    db.run_with("a->b")
    [old] = advance(db).claimed
    [new] = advance(db, outcome(old, "release")).claimed
    go_on(db)
    lost, claimed = advance(db, outcome(old), outcome(new), outcome(old, "release"))
    assert (lost, names(claimed)) == ([old["claim_id"]], ["b"])


def test_claims_that_are_swapped_are_lost_and_free_nothing(db: Session):
    """A claim counts for its own step alone."""
    task = db.run_with("a->c b->d")
    a, b = advance(db).claimed
    go_on(db)
    swapped = [
        outcome(a) | {"claim_id": b["claim_id"]},
        outcome(b) | {"claim_id": a["claim_id"]},
    ]
    lost, claimed = advance(db, *swapped)
    assert (set(lost), claimed) == ({a["claim_id"], b["claim_id"]}, [])
    assert db.steps_of(task) == {
        "a": "in_progress", "b": "in_progress", "c": "pending", "d": "pending"
    }  # fmt: skip


def test_a_batch_of_a_hundred(db: Session):
    """Tasks of several generations advance side by side."""
    db.define("a->b a->c b->d c->d")
    tasks = db.call("create_tasks", name="flow", contexts=[{}] * 100)
    claimed = advance(db, max_steps=100).claimed
    while claimed:
        assert len(claimed) <= 100
        claimed = advance(db, *map(outcome, claimed), max_steps=100).claimed
    assert {db.state_of(task) for task in tasks} == {"complete"}


def test_results_above_the_limit_become_a_permanent_failure(db: Session):
    """The runner cannot report less; the error says what was too large."""
    db.call("set_setting", name="payload_limit", value="300")
    task = db.run_with("a b")
    a, b = advance(db).claimed
    assert advance(db, outcome(a, results={"x": "y" * 300}), outcome(b)).lost == []
    step = db.step(task, "a")
    assert (step.state, step.due_at) == ("error", None)
    assert "300" in step.error["message"]
    assert db.state_of(task) == "error"


def test_results_above_the_limit_free_no_child(db: Session):
    """Though they were reported as complete."""
    db.call("set_setting", name="payload_limit", value="300")
    task = db.run_with("a->b c->d")
    a, c = advance(db).claimed
    go_on(db)
    assert names(advance(db, outcome(a, results={"x": "y" * 300}), outcome(c)).claimed) == ["d"]
    assert db.steps_of(task)["b"] == "pending"


def test_an_error_above_the_limit_is_cut(db: Session):
    """The failure itself is never refused."""
    db.call("set_setting", name="payload_limit", value="300")
    task = db.run_with("a")
    [a] = advance(db).claimed
    error = {"type": "ValueError", "message": "m" * 300, "traceback": "t" * 300}
    assert advance(db, outcome(a, "fail", error=error, retryable=False)).lost == []
    assert db.step(task, "a").state == "error"
    assert len(db.one("select %s::jsonb::text", db.json(db.step(task, "a").error))) <= 300


BAD = {
    "an object": ({}, "array"),
    "text": ("x", "array"),
    "a number in the array": ([1], "object"),
    "no step": ([{"claim_id": 1, "outcome": "complete"}], "workflow_step_id"),
    "no claim": ([{"workflow_step_id": 1, "outcome": "complete"}], "claim_id"),
    "a step that is text": (
        [{"workflow_step_id": "one", "claim_id": 1, "outcome": "complete"}],
        "workflow_step_id",
    ),
    "a claim beyond bigint": (
        [{"workflow_step_id": 1, "claim_id": 1e30, "outcome": "complete"}],
        "claim_id",
    ),
    "no outcome": ([{"workflow_step_id": 1, "claim_id": 1}], "outcome"),
    "an unknown outcome": (
        [{"workflow_step_id": 1, "claim_id": 1, "outcome": "completed"}],
        "completed",
    ),
    "a negative delay": (
        [{"workflow_step_id": 1, "claim_id": 1, "outcome": "release", "delay": -1}],
        "delay",
    ),
    "a delay that is text": (
        [{"workflow_step_id": 1, "claim_id": 1, "outcome": "release", "delay": "soon"}],
        "delay",
    ),
    "a negative retry_after": (
        [{"workflow_step_id": 1, "claim_id": 1, "outcome": "fail", "error": {}, "retry_after": -1}],
        "retry_after",
    ),
    "a retryable that is text": (
        [{"workflow_step_id": 1, "claim_id": 1, "outcome": "fail", "error": {}, "retryable": "no"}],
        "retryable",
    ),
    "a failure without an error": (
        [{"workflow_step_id": 1, "claim_id": 1, "outcome": "fail"}],
        "error",
    ),
    "an unknown field": (
        [{"workflow_step_id": 1, "claim_id": 1, "outcome": "complete", "result": 1}],
        "result",
    ),
}


@pytest.mark.parametrize(("outcomes", "match"), BAD.values(), ids=BAD)
def test_malformed_outcomes_are_refused(db: Session, outcomes: Any, match: str):
    """A mistake of the runner, not a race: the whole call changes nothing."""
    db.run_with("a")
    assert db.runner
    with db.refused("22023|22004", match):
        db.call(function, runner_id=db.runner, outcomes=db.json(outcomes), max_steps=1)


@pytest.mark.parametrize("asked", [None, -1])
def test_a_number_that_is_none_is_refused(db: Session, asked: int | None):
    """Null and negative."""
    assert db.runner
    with db.refused("22004|22023", "max_steps"):
        db.call(function, runner_id=db.runner, outcomes=db.json([]), max_steps=asked)


@pytest.mark.parametrize("runner", [0, 987654321])
def test_an_unknown_runner_is_refused(db: Session, runner: int):
    """TK004, whatever it reports."""
    with db.refused("TK004"):
        advance(db, runner=runner)


def test_an_expired_runner_is_refused(db: Session):
    """Its outcomes do not count: its steps are others' by now."""
    db.run_with("a")
    [a] = advance(db).claimed
    db.move_clock(16)
    db.call("maintain")
    with db.refused("TK004"):
        advance(db, outcome(a))


def test_only_reporting(db: Session):
    """max_steps 0 claims nothing: a runner that shuts down."""
    task = db.run_with("a->b")
    [a] = advance(db).claimed
    assert advance(db, outcome(a), max_steps=0) == ([], [])
    assert db.steps_of(task) == {"a": "complete", "b": "pending"}


def test_two_batches_that_share_children_do_not_deadlock(database: Database):
    """All steps and their children are locked in one ascending order."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a->c a->d b->c b->d c->e d->e")
    mine, theirs = first.claim(2)
    assert second.runner
    first.begin()
    advance(first, outcome(mine))
    waiting = second.later(advance, second, outcome(theirs)).blocked_by(first)
    first.commit()
    assert {step["step_name"] for step in waiting.result().claimed} == {"c", "d"}
    assert first.steps_of(task)["e"] == "pending"


def test_a_runner_goes_on_with_the_tasks_it_has_in_hand(db: Session):
    """What its outcomes free goes before what waits longer, and never is in the queue."""
    task = db.run_with("a->b->c")
    [a] = advance(db, max_steps=1).claimed
    db.run_with("x")
    go_on(db)
    [b] = advance(db, outcome(a), max_steps=1).claimed
    assert (b["step_name"], b["dependency_results"]) == ("b", {"a": None})
    assert names(advance(db, max_steps=5).claimed) == ["x"]
    waits = db.column(
        "select ready_at = created_at from workflow_step_transitions log"
        " join workflow_steps step using (workflow_step_id)"
        " where step.task_id = %s and log.to_state = 'in_progress' order by log.workflow_step_id",
        task,
    )
    assert waits[1:] == [True]


def test_one_claim_in_eight_begins_with_what_waits(db: Session):
    """So that long tasks never shut it out: what was freed goes behind it."""
    db.run_with("a->b->c")
    [a] = advance(db, max_steps=1).claimed
    db.run_with("x")
    go_on(db, False)
    assert names(advance(db, outcome(a), max_steps=1).claimed) == ["x"]
    assert names(advance(db, max_steps=5).claimed) == ["b"]


def test_where_nothing_waits_every_claim_goes_on(db: Session):
    """There is nobody to give way to, so what was freed never enters the queue."""
    arrivals = "select last_value from step_queue_position"
    db.run_with("a->b->c")
    [a] = advance(db, max_steps=1).claimed
    arrived = db.one(arrivals)
    go_on(db, False)
    [b] = advance(db, outcome(a), max_steps=1).claimed
    assert (b["step_name"], db.one(arrivals)) == ("b", arrived)
    db.run_with("x")
    go_on(db, False)
    assert names(advance(db, outcome(b), max_steps=1).claimed) == ["x"]


def test_what_waits_is_reached_beside_a_long_task(db: Session):
    """Whatever the seed, within a few dozen steps."""
    db.run_with("->".join(f"s{number}" for number in range(150)))
    claimed = advance(db, max_steps=1).claimed
    db.define("x", name="short")
    other = db.start("short")
    for _ in range(140):  # all of them go on once in a hundred million runs
        if claimed[0]["task_id"] == other:
            return
        claimed = advance(db, outcome(claimed[0]), max_steps=1).claimed
    raise AssertionError("it was shut out")


@pytest.mark.parametrize("known", [True, False], ids=["known priority", "priority not seen before"])
def test_a_higher_priority_goes_before_what_was_freed(db: Session, known: bool):
    """As it goes before everything else."""
    db.run_with("a->b")
    [a] = advance(db, max_steps=1).claimed
    if known:
        db.start(priority=5)
        assert names(advance(db, max_steps=1).claimed) == ["a"]
        db.move_clock(2)
    for _ in range(2):
        db.start(priority=5)
    go_on(db)
    assert names(advance(db, outcome(a), max_steps=2).claimed) == ["a", "a"]
    assert names(advance(db).claimed) == ["b"]


@pytest.mark.parametrize(
    "kind", [{"kind": "release"}, {"kind": "fail", "error": {}, "retry_after": 0}], ids=str
)
def test_a_higher_priority_that_comes_back_goes_before_what_is_freed(db: Session, kind: Any):
    """Also if it was reported in the same batch."""
    db.define("x", name="urgent", steps={"x": {"priority": 7}})
    db.start("urgent")
    [x] = advance(db).claimed
    db.run_with("a->b")
    [a] = advance(db).claimed
    go_on(db)
    assert names(advance(db, outcome(a), outcome(x, **kind), max_steps=1).claimed) == ["x"]
    assert names(advance(db).claimed) == ["b"]


def test_what_was_freed_goes_before_a_lower_priority(db: Session):
    """And the rest of the batch is filled with it."""
    db.run_with("a->b a->c", b={"priority": 2}, c={"priority": 3})
    [a] = advance(db, max_steps=1).claimed
    db.run_with("x y")
    go_on(db)
    assert names(advance(db, outcome(a), max_steps=3).claimed) == ["c", "b", "x"]


def test_what_does_not_fit_the_batch_waits_in_the_queue(db: Session):
    """For whoever has room; none is lost."""
    task = db.run_with("a->b a->c a->d a->e")
    [a] = advance(db, max_steps=1).claimed
    go_on(db)
    assert names(advance(db, outcome(a), max_steps=2).claimed) == ["b", "c"]
    assert names(advance(db).claimed) == ["d", "e"]
    assert set(db.steps_of(task).values()) == {"complete", "in_progress"}


def test_what_was_freed_in_another_queue_waits_there(db: Session):
    """The runner does not serve it, and takes what waits in its own."""
    mine = db.register("default", name="mine")
    db.run_with("a->b a->c", b={"queue": "other"})
    [a] = advance(db, max_steps=1, runner=mine).claimed
    db.run_with("x")
    go_on(db)
    assert names(advance(db, outcome(a), runner=mine).claimed) == ["c", "x"]
    other = db.register("other", name="other")
    assert names(advance(db, runner=other).claimed) == ["b"]


@pytest.mark.parametrize("paused", ["task", "queue"])
def test_what_is_paused_does_not_go_on(db: Session, paused: str):
    """It waits, and goes on when that is over."""
    task = db.run_with("a->b")
    [a] = advance(db, max_steps=1).claimed
    what = {"task_id": task} if paused == "task" else {"queue": "default"}
    db.call(f"pause_{paused}", **what)
    go_on(db)
    assert advance(db, outcome(a)).claimed == []
    assert db.steps_of(task)["b"] == "pending"
    db.call(f"resume_{paused}", **what)
    assert names(advance(db).claimed) == ["b"]


@pytest.mark.parametrize("freed", ["complete_step", "resolve_step", "skip_step", "create_task"])
def test_nobody_else_keeps_what_becomes_free_out_of_the_queue(db: Session, freed: str):
    """Not with the setting by which advance leaves its own queues out of those it wakes."""
    db.define("a->b", steps={"a": {"skippable": True}})
    db.run("set pgtasker.claiming = '{default}'")
    task = db.start(bypass_steps=["a"] if freed == "create_task" else [])
    if freed == "complete_step":
        db.complete(db.claim_only("a"))
    elif freed != "create_task":
        db.call(freed, workflow_step_id=db.step_id(task, "a"))
    db.assert_consistent()
    assert names(advance(db).claimed) == ["b"]
