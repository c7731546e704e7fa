"""Workflows in JSON and YAML files: their functions, what is refused, and what is registered."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgtasker import Workflow, WorkflowError, load_documents, load_workflows

from ..support.session import Session

MODULE = """\
from pgtasker import Workflow

def validate(context): return context["n"]
async def charge(validate, step): return validate + 1
def ship(charge, context): return charge * 2
class Depot:
    @staticmethod
    def pack(): return "packed"
limit = 7
"""
YAML = """\
namespace: shop
name: fulfil
version: 1.2.0
description: From order to parcel.
context_schema: {type: object, required: [n]}
steps:
  - name: ship            # before its parents: the order is free
    handler: parcels.ship
    depends_on: [charge]
    skippable: true
    inputs: {since: 2024-01-31}
  - name: validate
    handler: parcels:validate
    executor: thread
    concurrency: 2
  - name: charge
    handler: parcels.charge
    depends_on: [validate]
    retry_limit: 5
    backoff: {base: 2}
"""


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    """What a test imports is forgotten after it."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Writes a file beside the module `parcels`."""
    (tmp_path / "parcels.py").write_text(MODULE)

    def write(content: Any, name: str = "flows.json") -> str:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def flow(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A document."""
    return {"name": "flow", "steps": list(steps), **more}


def refusal(document: Any, **handlers: Callable[..., Any]) -> str:
    """Why no workflow can be made of it."""
    with pytest.raises(WorkflowError) as caught:
        Workflow.from_document(document, handlers)
    return str(caught.value)


def nothing() -> None: ...


def test_a_yaml_file_is_a_workflow(file: Callable[..., str]):
    """Its handlers are imported from beside it; the runner's options stay with the runner."""
    (workflow,) = load_workflows(file(YAML, "flows.yaml"))
    assert repr(workflow) == "<Workflow shop/fulfil 1.2.0>"
    assert list(workflow.steps) == ["ship", "validate", "charge"]
    ship, validate, charge = workflow.steps.values()
    assert (ship.parameters, ship.depends_on) == (("charge", "context"), ("charge",))
    assert (validate.executor, validate.concurrency, validate.queue) == ("thread", 2, "default")
    assert (charge.is_async, charge.handler) == (True, "parcels.charge")
    assert ship.function(charge=2, context={}) == 4
    definition = workflow.definition()
    assert definition["description"] == "From order to parcel."
    assert definition["context_schema"] == {"type": "object", "required": ["n"]}
    assert definition["steps"][0]["inputs"] == {"since": "2024-01-31"}
    assert definition["steps"][1] == {"name": "validate", "handler": "parcels:validate"}


def test_a_file_may_hold_several_workflows(file: Callable[..., str]):
    """A list, or the documents of a YAML file, in their order."""
    step = {"name": "pack", "handler": "parcels:Depot.pack"}
    listed = file([flow(step, name="a"), flow(step, name="b")])
    documents = file(f"{json.dumps(flow(step, name='c'))}\n---\n{YAML}\n---\n", "flows.yml")
    found = load_workflows(listed, documents)
    assert [workflow.name for workflow in found] == ["a", "b", "c", "fulfil"]
    assert found[0].steps["pack"].function() == "packed"


def test_functions_can_be_given_instead_of_imported(file: Callable[..., str]):
    """By the name of the step, which goes first, or of the handler."""
    document = flow(
        {"name": "one", "handler": "nowhere.one"},
        {"name": "two", "handler": "nowhere.two", "queue": None, "depends_on": None},
        {"name": "three"},
    )

    def other() -> None: ...

    workflow = Workflow.from_document(
        document, {"one": nothing, "nowhere.one": other, "nowhere.two": other, "three": nothing}
    )
    functions = [step.function for step in workflow.steps.values()]
    assert functions == [nothing, other, nothing]


def test_steps_of_runners_elsewhere_have_a_queue_of_their_own(file: Callable[..., str]):
    """They are registered, and not executed here; in a queue that is served here they would wait
    for ever.
    """
    foreign = {"name": "print", "depends_on": ["pack"], "queue": "node"}
    pack = {"name": "pack", "handler": "parcels:Depot.pack"}
    target = file(flow(pack, foreign))
    (workflow,) = load_workflows(target)
    assert list(workflow.steps) == ["pack"]
    assert workflow.definition()["steps"] == [pack, foreign] == load_documents(target)[0]["steps"]
    assert refusal(flow({"name": "a"}, {"name": "b"}), a=nothing) == (
        "step 'b' of workflow 'flow' has no handler: name its function, or give it a queue of its "
        "own if runners elsewhere execute it (steps in queue 'default' are executed here)"
    )
    with pytest.raises(WorkflowError, match=r"flows.json': no step of workflow 'flow' has a hand"):
        load_workflows(file(flow(foreign | {"depends_on": []})))


def test_steps_can_be_added_to_a_workflow_from_a_document():
    """Like any other workflow it can be decorated further."""
    workflow = Workflow.from_document(flow({"name": "a"}), {"a": nothing})

    @workflow.step
    def b(a: Any) -> None: ...

    assert workflow.definition()["steps"] == [{"name": "a"}, {"name": "b", "depends_on": ["a"]}]


@dataclass
class Order:
    order_id: int


def test_the_functions_types_hold_but_the_document_is_stored():
    """Contexts are checked in Python; what is registered is what the file says, whoever does it."""

    def look(context: Order) -> None: ...

    workflow = Workflow.from_document(flow({"name": "look"}), {"look": look})
    assert "context_schema" not in workflow.definition()
    with pytest.raises(ValueError, match=r"context\.order_id is missing"):
        workflow.check_context({})
    both = flow({"name": "look"}, {"name": "other"})
    undecided = Workflow.from_document(both, {"look": look, "other": takes_a_file})
    assert undecided.check_context({}) == {}


@dataclass
class File:
    path: str


def takes_a_file(context: File) -> None: ...


def takes(parameter: str) -> Callable[..., Any]:
    """A function with one parameter."""
    scope: dict[str, Any] = {}
    exec(f"def work({parameter}): ...", scope)
    function: Callable[..., Any] = scope["work"]
    return function


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"steps": []}, "a workflow is called None: give it a name, as text"),
        (flow(), "workflow 'flow' has no steps: give a list of them as 'steps'"),
        (flow("a"), "step 1 of workflow 'flow' has no name"),  # type: ignore[arg-type]
        (
            flow({"name": "a"}, versoin="1"),
            "workflow 'flow' has an unknown field 'versoin': did you mean 'version'? there are "
            "name, namespace, version, description, context_schema, retention, steps",
        ),
        (
            flow({"name": "a", "after": []}),
            "step 'a' of workflow 'flow' has an unknown field 'after': there are name, depends_on, "
            "description, handler, queue, priority, retryable, retry_limit, timeout, backoff, "
            "skippable, inputs, executor, concurrency",
        ),
        (
            flow({"name": "a", "depends_on": "b"}),
            "step 'a' of workflow 'flow' depends on 'b': give a list of the names of steps",
        ),
        (
            flow({"name": "a", "depends_on": ["bb"]}, {"name": "b"}),
            "step 'a' of workflow 'flow' depends on 'bb', which is no step of it; "
            "did you mean 'b'?",
        ),
        (
            flow({"name": "a"}, {"name": "a"}),
            "step 'a' of workflow 'flow' bears a name that is taken by another step of it",
        ),
        (
            flow(
                {"name": "a", "depends_on": ["c"]},
                {"name": "b", "depends_on": ["a"]},
                {"name": "c", "depends_on": ["b"]},
                {"name": "d"},
            ),
            "the steps of workflow 'flow' form a cycle: a -> b -> c -> a",
        ),
        (
            flow({"name": "a", "depends_on": ["a"]}),
            "the steps of workflow 'flow' form a cycle: a -> a",
        ),
        (
            flow({"name": "a", "handler": 7}),
            "step 'a' of workflow 'flow' names the handler 7: write module.function",
        ),
        (
            flow({"name": "a", "handler": "charge"}),
            "step 'a' of workflow 'flow' names the handler 'charge': "
            "write it as module.function or module:function",
        ),
    ],
)
def test_what_is_wrong_with_a_document_is_said_before_the_database_sees_it(
    document: dict[str, Any], said: str
):
    """In one line that names the workflow or the step."""
    assert refusal(document) == said


def test_a_function_that_does_not_fit_its_step_is_pointed_at():
    """Where it is, and what it asks for that the step does not have."""
    document = flow({"name": "a"}, {"name": "b", "depends_on": ["a"], "executor": "process"})
    assert refusal(document, a=takes("vaildate"), b=nothing) == (
        "step 'a' of workflow 'flow' (<string>:1) has a parameter 'vaildate', which is no step it "
        "depends on; there are context, step"
    )
    assert "did you mean 'context'?" in refusal(document, a=takes("contxt"), b=nothing)
    assert "has a parameter '*rest'" in refusal(document, a=takes("*rest"), b=nothing)
    assert "cannot be imported there" in refusal(document, a=nothing, b=lambda a: None)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("parcels.shp", "module 'parcels' has no function 'shp'; did you mean 'ship'?"),
        ("parcels:Depot.unpack", "module 'parcels' has no function 'Depot.unpack'"),
        ("parcels.limit", "'limit' in module 'parcels' is no function"),
        ("parcel.ship", "no module 'parcel': give a dotted module or the path of a .py file"),
        ("bad.ship", "module 'bad' cannot be imported: ZeroDivisionError: division by zero ("),
    ],
)
def test_a_handler_that_is_not_there_is_named(file: Callable[..., str], handler: str, said: str):
    """With the file, the step, and what there is."""
    file("1 / 0", "bad.py")
    target = file(flow({"name": "work", "handler": handler}))
    with pytest.raises(WorkflowError) as caught:
        load_workflows(target)
    assert str(caught.value).startswith(
        f"{target!r}: step 'work' of workflow 'flow' names the handler {handler!r}: {said}"
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "cannot be parsed: Expecting property name"),
        ("a.yaml", "a: [", "cannot be parsed: while parsing a flow node"),
        ("a.yaml", "!!python/object:os.system x", "cannot be parsed: could not determine a constr"),
        ("a.json", "[]", "holds no workflow: it must be one object, or a list of objects"),
        ("a.json", "[[{}]]", "holds no workflow"),
        ("a.yml", "---\n", "holds no workflow"),
    ],
)
def test_a_file_that_holds_no_documents_says_why(
    file: Callable[..., str], name: str, text: str, said: str
):
    """In one line that begins with the file."""
    target = file(text, name)
    for load in (load_workflows, load_documents):
        with pytest.raises(WorkflowError, match=rf"^'{target}' {said}") as caught:
            load(target)
        assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_says_why(file: Callable[..., str], tmp_path: Path):
    """It is absent, or no text."""
    with pytest.raises(WorkflowError, match=r"cannot read '.*none\.json': No such file"):
        load_workflows(str(tmp_path / "none.json"))
    (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    with pytest.raises(WorkflowError, match=r"latin\.yaml': it is not UTF-8$"):
        load_workflows(str(tmp_path / "latin.yaml"))


def test_yaml_without_its_library_says_what_to_install(
    file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    """It is an optional dependency."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(WorkflowError, match=r"needs PyYAML: pip install 'pgtasker\[yaml\]'"):
        load_documents(file(YAML, "flows.yaml"))


def test_documents_need_no_handlers(file: Callable[..., str]):
    """They may be for runners elsewhere; only what a runner reads is left out."""
    target = file(
        [flow({"name": "a", "handler": "Billing::Charge", "executor": "thread"}), {"name": 7}]
    )
    assert load_documents(target) == [
        flow({"name": "a", "handler": "Billing::Charge"}),
        {"name": 7},
    ]


@pytest.mark.newest_only
def test_registering_a_file_and_running_it_store_the_same(db: Session, file: Callable[..., str]):
    """So a runner finds no other content under the version that `register` stored."""
    target = file(YAML, "flows.yaml")
    (document,), (workflow,) = load_documents(target), load_workflows(target)
    stored = db.call("register_workflow", definition=db.json(document))
    again = db.call("register_workflow", definition=db.json(workflow.definition()), replace=False)
    assert again == stored
