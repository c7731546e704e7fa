"""register_workflow: makes a version of a workflow known, or says all that is wrong with it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ..support.databases import Database
from ..support.graph import workflow
from ..support.session import Session

FULL = {
    "namespace": "shop",
    "name": "fulfil_order",
    "version": "1.0.0",
    "description": "From order to parcel",
    "context_schema": {"type": "object", "required": ["order_id"]},
    "steps": [
        {"name": "validate"},
        {
            "name": "charge",
            "depends_on": ["validate"],
            "handler": "payments.charge",
            "queue": "payments",
            "priority": 10,
            "retryable": True,
            "retry_limit": 5,
            "timeout": 30,
            "inputs": {"currency": "EUR"},
            "backoff": {"base": 1, "factor": 2, "max": 30, "jitter": True},
        },
        {"name": "ship", "depends_on": ["charge"], "skippable": True},
    ],
}


def changed(**step: Any) -> dict[str, Any]:
    """The full definition with other fields on its charge step."""
    definition = copy.deepcopy(FULL)
    definition["steps"][1].update(step)
    return definition


def register(db: Session, definition: Any, **more: Any) -> int:
    return int(db.call("register_workflow", definition=definition, **more))


def test_only_names_are_required(db: Session):
    """Everything else has the documented default."""
    register(db, {"name": "small", "steps": [{"name": "only"}]})
    db.start("small")
    claimed = db.claim_only("only")
    assert (claimed.namespace, claimed.version) == ("default", "0.1.0")
    assert claimed.handler is None
    assert (claimed.priority, claimed.retry_limit, claimed.timeout) == (0, 3, None)
    assert claimed.inputs == {}


def test_a_task_gets_what_the_definition_says(db: Session):
    """Every field reaches the runner that executes the step."""
    register(db, FULL)
    db.start("fulfil_order", {"order_id": 7}, namespace="shop")
    db.complete(db.claim_only("validate"), {"ok": True})
    charge = db.claim_only("charge")
    assert (charge.namespace, charge.workflow_name, charge.version) == (
        "shop",
        "fulfil_order",
        "1.0.0",
    )
    assert charge.handler == "payments.charge"
    assert (charge.priority, charge.retry_limit, charge.timeout) == (10, 5, 30.0)
    assert charge.inputs == {"currency": "EUR"}
    assert charge.dependency_results == {"validate": {"ok": True}}


def test_a_null_field_is_a_field_left_out(db: Session):
    """JSON and YAML writers emit null for what is not set."""
    step = {"name": "only", "depends_on": None, "queue": None, "timeout": None, "inputs": None}
    known = register(db, {"name": "small", "steps": [{"name": "only"}]})
    nulls = {"name": "small", "version": None, "description": None, "steps": [step]}
    assert register(db, nulls, replace=False) == known


def test_the_same_content_again_changes_nothing(db: Session):
    """Registering is idempotent, however the JSON is written."""
    known = register(db, FULL)
    before = db.fingerprint()
    spelled = {key: FULL[key] for key in reversed(FULL)}
    assert register(db, FULL) == register(db, spelled) == register(db, FULL, replace=False) == known
    assert db.fingerprint() == before


def test_changed_content_is_for_future_tasks(db: Session):
    """A running task keeps what it copied; the next one gets the new content."""
    known = register(db, workflow("a->b", steps={"a": {"retry_limit": 2, "inputs": {"n": 1}}}))
    running = db.start()
    again = register(db, workflow("a->b b->c", steps={"a": {"retry_limit": 7, "inputs": {"n": 2}}}))
    assert again == known
    first = db.claim_only("a")
    assert (first.retry_limit, first.inputs) == (2, {"n": 1})
    db.complete(first)
    db.finish_step("b")
    assert db.state_of(running) == "complete"
    later = db.start()
    second = db.claim_only("a")
    assert (second.retry_limit, second.inputs) == (7, {"n": 2})
    assert set(db.steps_of(later)) == {"a", "b", "c"}


def test_versions_are_workflows_of_their_own(db: Session):
    """Another version is another row; tasks without a version get the highest."""
    ids = [register(db, workflow("a", version=version)) for version in ("1.10.0", "1.9.0", "2.0.0")]
    assert len(set(ids)) == 3
    assert db.task(db.start()).version == "2.0.0"


def test_replace_false_refuses_other_content(db: Session):
    """A known version keeps its content for those who ask for that."""
    register(db, FULL)
    with db.refused("42710", r"fulfil_order.*1\.0\.0"):
        register(db, changed(priority=11), replace=False)
    with db.refused("42710", "fulfil_order"):
        register(db, changed(backoff={"base": 2}), replace=False)


def test_a_new_version_is_accepted_with_replace_false(db: Session):
    """It replaces nothing."""
    register(db, FULL)
    assert register(db, FULL | {"version": "1.1.0"}, replace=False)


STEP = {"name": "a"}

MALFORMED = {
    "an array": ([], "object"),
    "a string": ("flow", "object"),
    "no name": ({"steps": [STEP]}, "no name"),
    "an empty name": ({"name": "", "steps": [STEP]}, "name"),
    "a name that is a number": ({"name": 7, "steps": [STEP]}, "name.*7"),
    "a name with a slash": ({"name": "a/b", "steps": [STEP]}, "a/b"),
    "an empty namespace": ({"name": "x", "namespace": "", "steps": [STEP]}, "namespace"),
    "a version that is none": ({"name": "x", "version": "new", "steps": [STEP]}, "new"),
    "a version that is a number": ({"name": "x", "version": 1.0, "steps": [STEP]}, "version"),
    "a description that is a list": ({"name": "x", "description": [], "steps": [STEP]}, "descr"),
    "a context_schema that is text": (
        {"name": "x", "context_schema": "object", "steps": [STEP]},
        "context_schema",
    ),
    "an unknown field": ({"name": "x", "step": [], "steps": [STEP]}, '"step"'),
    "no steps at all": ({"name": "x"}, "no steps"),
    "an empty list of steps": ({"name": "x", "steps": []}, "no steps"),
    "steps that are an object": ({"name": "x", "steps": {"a": {}}}, "steps"),
    "a step that is a string": ({"name": "x", "steps": ["a"]}, 'object, not "a"'),
    "a step without a name": ({"name": "x", "steps": [{"queue": "q"}]}, "step 1 has no name"),
    "a null step": ({"name": "x", "steps": [None]}, "null"),
}


@pytest.mark.parametrize(("definition", "match"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_workflow_is_refused(db: Session, definition: Any, match: str):
    """The error names the field and the value."""
    with db.refused("22023", match):
        db.call("register_workflow", definition=db.json(definition))


BAD_STEPS = {
    "an empty name": ([{"name": ""}], '""'),
    "a name that begins with a digit": ([{"name": "1st"}], "1st"),
    "a name with a space": ([{"name": "a b"}], "a b"),
    "a name with a line feed": ([{"name": "a\n"}], "illegal"),
    "a name with a letter of another script": ([{"name": "é"}], "é"),
    "a name that is a number": ([{"name": 7}], "7"),
    "the reserved name context": ([{"name": "context"}], "context.*reserved"),
    "the reserved name step": ([{"name": "step"}], "step.*reserved"),
    "a name used twice": ([{"name": "a"}, {"name": "b"}, {"name": "a"}], '"a".*2 times'),
    "an unknown parent": ([{"name": "a", "depends_on": ["z"]}], '"a".*unknown step "z"'),
    "a parent that is a number": ([{"name": "a", "depends_on": [1]}], "1"),
    "a null parent": ([{"name": "a", "depends_on": [None]}], "null"),
    "parents that are text": ([{"name": "a"}, {"name": "b", "depends_on": "a"}], "depends_on"),
    "a parent named twice": ([{"name": "a"}, {"name": "b", "depends_on": ["a", "a"]}], "once"),
    "a step that depends on itself": ([{"name": "a", "depends_on": ["a"]}], "a -> a"),
    "an unknown field": ([{"name": "a", "retries": 3}], '"retries"'),
    "a negative retry_limit": ([{"name": "a", "retry_limit": -1}], "retry_limit.*-1"),
    "a retry_limit of a half": ([{"name": "a", "retry_limit": 1.5}], r"retry_limit.*1\.5"),
    "a retry_limit that is text": ([{"name": "a", "retry_limit": "3"}], 'retry_limit.*"3"'),
    "a retry_limit beyond all integers": ([{"name": "a", "retry_limit": 1e30}], "retry_limit"),
    "a negative timeout": ([{"name": "a", "timeout": -5}], "timeout.*-5"),
    "a timeout of nothing": ([{"name": "a", "timeout": 0}], "timeout.*0"),
    "a timeout that is text": ([{"name": "a", "timeout": "30 s"}], "timeout"),
    "a priority that is text": ([{"name": "a", "priority": "high"}], "priority"),
    "a priority beyond integer": ([{"name": "a", "priority": 3000000000}], "priority"),
    "a retryable that is a number": ([{"name": "a", "retryable": 1}], "retryable"),
    "a skippable that is text": ([{"name": "a", "skippable": "no"}], "skippable"),
    "inputs that are a list": ([{"name": "a", "inputs": []}], "inputs"),
    "an empty queue": ([{"name": "a", "queue": ""}], "queue"),
    "an empty handler": ([{"name": "a", "handler": ""}], "handler"),
    "a handler that is an object": ([{"name": "a", "handler": {}}], "handler"),
    "a backoff that is a number": ([{"name": "a", "backoff": 3}], "backoff"),
    "a backoff with an unknown field": ([{"name": "a", "backoff": {"cap": 1}}], '"cap"'),
    "a negative base": ([{"name": "a", "backoff": {"base": -1}}], "base.*-1"),
    "a negative factor": ([{"name": "a", "backoff": {"factor": -2}}], "factor.*-2"),
    "a negative maximum": ([{"name": "a", "backoff": {"max": -30}}], "max.*-30"),
    "a jitter that is text": ([{"name": "a", "backoff": {"jitter": "yes"}}], "jitter"),
}


@pytest.mark.parametrize(("steps", "match"), BAD_STEPS.values(), ids=BAD_STEPS)
def test_a_malformed_step_is_refused(db: Session, steps: list[Any], match: str):
    """The error names the step, the field and the value."""
    with db.refused("22023", match):
        register(db, {"name": "x", "steps": steps})


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ("a->b b->a", r"(a -> b -> a|b -> a -> b)"),
        ("a->b->c->d d->b", r"(b -> c -> d -> b|c -> d -> b -> c|d -> b -> c -> d)"),
        ("r->a a->b b->a r->c->d", r"(a -> b -> a|b -> a -> b)"),
        ("a->b->c->a x->y->z", r"(a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c)"),
    ],
)
def test_a_cycle_is_named(db: Session, edges: str, cycle: str):
    """The error walks around one cycle, and does not list what merely hangs on it."""
    with db.refused("22023", cycle):
        register(db, workflow(edges))


def test_all_problems_are_in_one_error(db: Session):
    """Whoever writes a definition corrects it once."""
    definition = {
        "name": "x",
        "version": "latest",
        "colour": "red",
        "steps": [
            {"name": "a", "retry_limit": -1, "timeout": "soon"},
            {"name": "a"},
            {"name": "2b", "depends_on": ["nobody"]},
            {"name": "c", "backoff": {"factor": 0}},
            {"nam": "d"},
        ],
    }
    problems = [
        "latest", "colour", "retry_limit", "soon", "2 times", "2b", "nobody", "factor", '"nam"'
    ]  # fmt: skip
    with db.refused("22023", "".join(f"(?=.*{problem})" for problem in problems)):
        register(db, definition)


BAD_SCHEMAS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown type": ({"type": "int"}, '#: type must be .*, not "int"'),
    "types that are none": ({"type": [1]}, "#: type"),
    "no types": ({"type": []}, "#: type"),
    "a type twice": ({"type": ["null", "null"]}, "#: type"),
    "a type that is null": ({"type": None}, "#: type.*not null"),
    "an enum that is text": ({"enum": "a"}, '#: enum must be an array, not "a"'),
    "a property that is no schema": ({"properties": {"a": 1}}, "#/properties/a: .*not 1"),
    "properties in an array": ({"properties": []}, "#: properties must be an object"),
    "items in an array": ({"items": [{}]}, "#/items: a schema must be an object"),
    "additionalProperties that are text": ({"additionalProperties": "no"}, "#/additionalProp"),
    "no alternatives": ({"anyOf": []}, "#: anyOf must be an array of schemas"),
    "an alternative that is null": ({"oneOf": [{}, None]}, "#/oneOf/1: .*not null"),
    "allOf in an object": ({"allOf": {}}, "#: allOf"),
    "a bound that is text": ({"minimum": "1"}, '#: minimum must be a number, not "1"'),
    "a bound of old": ({"exclusiveMinimum": True}, "#: exclusiveMinimum must be a number"),
    "a multiple of nothing": ({"multipleOf": 0}, "#: multipleOf must be a number above 0"),
    "a length below nothing": ({"maxLength": -1}, "#: maxLength must be a whole number from 0"),
    "a length and a half": ({"minItems": 1.5}, r"#: minItems .* not 1\.5"),
    "a flag that is text": ({"uniqueItems": "yes"}, "#: uniqueItems must be true or false"),
    "a name twice": ({"required": ["a", "a"]}, "#: required must be an array of different names"),
    "a name that is a number": ({"required": [1]}, "#: required"),
    "required of old": ({"properties": {"a": {"required": True}}}, "#/properties/a: required"),
    "a dependency that is text": ({"dependentRequired": {"a": "b"}}, "#: dependentRequired"),
    "a broken pattern": ({"items": {"pattern": "("}}, r'#/items: pattern must be .*"\("'),
    "a pattern that is a number": ({"pattern": 1}, "#: pattern must be a regular expression"),
    "a pattern of another kind": ({"pattern": "***=a"}, "#: pattern must be a regular expression"),
    "a pattern in no dialect of ours": ({"pattern": r"^\p{L}$"}, "#: pattern"),
    "a broken name pattern": ({"patternProperties": {"[": {}}}, r"#: patternProperties .*\["),
    "a remote reference": ({"$ref": "https://x.org/s"}, "#: .ref must name .*https://x.org/s"),
    "a reference to nothing": ({"$ref": "#/$defs/A", "$defs": {}}, "#: .ref must name"),
    "a reference to an anchor": ({"$ref": "#A", "$defs": {"A": {"$anchor": "A"}}}, "#: .ref"),
    "a reference to no schema": ({"$ref": "#/title", "title": "a"}, "#: .ref must name"),
    "a reference that is a number": ({"items": {"$ref": 1}}, "#/items: .ref must name"),
    "a reference counted from the end": (
        {"items": {"$ref": "#/allOf/-1"}, "allOf": [{}]},
        "#/items: .ref must name",
    ),
    "a reference in no encoding": ({"$ref": "#/%ff"}, "#: .ref must name"),
    "a reference to what is broken": (
        {"$ref": "#/x-mine/a", "x-mine": {"a": {"type": "int"}}},
        "#/x-mine/a: type",
    ),
    "a definition that nobody uses": ({"$defs": {"a/b": {"type": 1}}}, "#/.defs/a~1b: type"),
    "a reference to itself": ({"$ref": "#"}, "#: .ref leads back to itself"),
    "a way around": (
        {
            "properties": {"a": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"not": {"$ref": "#/$defs/B"}}, "B": {"allOf": [{"$ref": "#/$defs/A"}]}},
        },
        "#/.defs/A/not: .ref leads back.*#/.defs/B/allOf/0: .ref leads back",
    ),
    "what is not supported": (
        {"unevaluatedProperties": False},
        "#: unevaluatedProperties must be left out",
    ),
    "an inner document": ({"items": {"$id": "x", "$ref": "#"}}, "#/items: .id must be left out"),
}


@pytest.mark.parametrize(("schema", "match"), BAD_SCHEMAS.values(), ids=BAD_SCHEMAS)
def test_a_malformed_context_schema_is_refused(db: Session, schema: dict[str, Any], match: str):
    """The error names the place in the schema, the keyword and the value."""
    with db.refused("22023", f"context_schema, {match}"):
        register(db, workflow("a", context_schema=schema))


def test_problems_of_a_context_schema_are_in_the_one_error(db: Session):
    """Beside all others of the definition."""
    schema = {"type": "int", "properties": {"a": {"minimum": "1"}, "b": {"$ref": "#/$defs/B"}}}
    definition = workflow("a->a", context_schema=schema, colour="red")
    problems = ["colour", "#: type", "#/properties/a: minimum", "#/properties/b: .ref"]
    with db.refused("22023", "".join(f"(?=.*{problem})" for problem in problems)):
        register(db, definition)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/Node", "$defs": {"Node": {"items": {"$ref": "#/$defs/Node"}}}},
        {"properties": {"a": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://x.org/s"},
        {"enum": [{"type": "int", "$ref": "nowhere"}], "default": {"type": 1}},
        {"properties": {"$ref": {"type": "string"}, "type": {}}},
    ],
)
def test_a_context_schema_that_only_looks_odd(db: Session, schema: dict[str, Any]):
    """Recursion that goes into the value, and keywords where they are mere data."""
    assert register(db, workflow("a", context_schema=schema))


def test_a_context_schema_above_the_payload_limit_is_refused(db: Session):
    """It is read whenever a task is created."""
    db.call("set_setting", name="payload_limit", value="2000")
    with db.refused("54000", "context_schema.*2000"):
        register(db, workflow("a", context_schema={"description": "x" * 2000}))


@pytest.mark.parametrize("arguments", [{"definition": None}, {"definition": FULL, "replace": None}])
def test_null_is_refused(db: Session, arguments: dict[str, Any]):
    """Both parameters need a value."""
    with db.refused("22004", "must not be null"):
        db.call("register_workflow", **arguments)


def test_a_definition_above_the_payload_limit_is_refused(db: Session):
    """It would be copied with every task."""
    db.call("set_setting", name="payload_limit", value="2000")
    with db.refused("54000", "2000"):
        register(db, changed(inputs={"text": "x" * 2000}))


def test_a_step_without_attempts_is_legal(db: Session):
    """The first attempt is always eligible, whatever the limit."""
    task = db.run_with("a", a={"retry_limit": 0})
    assert db.settle(task) == "complete"


def test_many_steps_in_one_definition(db: Session):
    """A thousand steps are no special case."""
    edges = " ".join(f"s{number}->s{number + 1}" for number in range(999))
    db.define(edges)
    assert len(db.steps(db.start())) == 1000


def test_processes_that_register_at_once_agree(database: Database):
    """The second waits for the first and finds the work done."""
    first, second = database.connect("first"), database.connect("second")
    first.begin()
    known = register(first, FULL)
    waiting = second.later(register, second, FULL).blocked_by(first)
    first.commit()
    assert waiting.result() == known
    assert database.main.one("select count(*) from named_tasks") == 1


def test_the_one_that_waited_may_still_change_the_content(database: Database):
    """Two contents at once: both are registered, one after the other, as one version."""
    first, second = database.connect("first"), database.connect("second")
    first.begin()
    known = register(first, FULL)
    waiting = second.later(register, second, changed(priority=99)).blocked_by(first)
    first.commit()
    assert waiting.result() == known
    db = database.main
    task = db.start("fulfil_order", {"order_id": 7}, namespace="shop")
    db.finish_step("validate")
    assert db.claim_only("charge").priority == 99
    assert db.state_of(task) == "in_progress"


def test_registering_what_is_known_waits_for_nobody(database: Database):
    """Processes that only confirm a workflow do not queue behind one that changes it."""
    first, second = database.connect("first"), database.connect("second")
    known = register(first, FULL)
    first.begin()
    register(first, changed(priority=99))
    assert register(second, FULL) == known
    first.rollback()
