"""Workflows as documents declare them.

Responsible for finding the functions of a document's steps, and for mistakes that keep it from
being executed here: they name the step. What the numbers mean is left to `register_workflow`.
"""

from __future__ import annotations

import difflib
import graphlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pgtasker.errors import WorkflowError
from pgtasker.importing import import_function
from pgtasker.workflow_step import (
    DEFAULT_QUEUE,
    RESERVED,
    Signature,
    StepOptions,
    WorkflowStep,
    check_options,
    location,
    parameters_of,
    stored,
)

_FIELDS = ("name", "namespace", "version", "description", "context_schema", "retention", "steps")
_STEP_FIELDS = ("name", "depends_on", *StepOptions.__annotations__)


def registered(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as `register_workflow` takes it: without what only a runner reads."""
    steps = document.get("steps")
    if not isinstance(steps, list):
        return dict(document)
    written = [stored(step) if isinstance(step, dict) else step for step in steps]
    return {**document, "steps": written}


def described(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says of its workflow, apart from the steps: the arguments of `Workflow`."""
    name = document.get("name")
    if not isinstance(name, str):
        raise WorkflowError(f"a workflow is called {name!r}: give it a name, as text")
    _check_fields(document, _FIELDS, f"workflow {name!r}")
    given = {field: document.get(field) for field in _FIELDS if field != "steps"}
    return {field: value for field, value in given.items() if value is not None}


def declared_steps(
    document: Mapping[str, Any], handlers: Mapping[str, Callable[..., Any]]
) -> list[WorkflowStep]:
    """The steps of a document that have functions here."""
    workflow = document["name"]
    steps = _steps(document)
    names = [step["name"] for step in steps]
    _check_graph({step["name"]: step["depends_on"] for step in steps}, names, workflow)
    declared, elsewhere = [], []
    for step in steps:
        where = f"step {step['name']!r} of workflow {workflow!r}"
        function = _function(step, handlers, where)
        if function is None:
            elsewhere.append((where, step.get("queue") or DEFAULT_QUEUE))
        else:
            declared.append(_declared(step, function, where))
    here = [step.queue for step in declared]  # what is no text cannot be in a set
    for where, queue in elsewhere:
        if queue in here:
            raise WorkflowError(
                f"{where} has no handler: name its function, or give it a queue of its own "
                f"if runners elsewhere execute it (steps in queue {queue!r} are executed here)"
            )
    return declared


def _steps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps, each with a name and a list of parents; what else is in them is not looked at."""
    workflow, steps = document["name"], document.get("steps")
    if not isinstance(steps, list) or not steps:
        raise WorkflowError(f"workflow {workflow!r} has no steps: give a list of them as 'steps'")
    result = []
    for number, step in enumerate(steps, 1):
        if not isinstance(step, dict) or not isinstance(step.get("name"), str):
            raise WorkflowError(f"step {number} of workflow {workflow!r} has no name")
        where = f"step {step['name']!r} of workflow {workflow!r}"
        _check_fields(step, _STEP_FIELDS, where)
        parents = step.get("depends_on")
        parents = [] if parents is None else parents
        if not isinstance(parents, list) or not all(isinstance(name, str) for name in parents):
            raise WorkflowError(
                f"{where} depends on {parents!r}: give a list of the names of steps"
            )
        result.append({**step, "depends_on": parents})
    return result


def _check_fields(document: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = [field for field in document if field not in known]
    if unknown:
        close = difflib.get_close_matches(str(unknown[0]), known, n=1)
        advice = f"did you mean {close[0]!r}? " if close else ""
        raise WorkflowError(
            f"{where} has an unknown field {unknown[0]!r}: {advice}there are {', '.join(known)}"
        )


def _check_graph(parents: Mapping[str, list[str]], names: list[str], workflow: str) -> None:
    """No step twice, every parent a step, no cycle."""
    times = Counter(names)
    for name in names:
        where = f"step {name!r} of workflow {workflow!r}"
        if times[name] > 1:
            raise WorkflowError(f"{where} bears a name that is taken by another step of it")
        for parent in parents[name]:
            if parent not in parents:
                raise WorkflowError(
                    f"{where} depends on {parent!r}, which is no step of it; "
                    f"{_advice(parent, names)}"
                )
    try:
        graphlib.TopologicalSorter(parents).prepare()
    except graphlib.CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise WorkflowError(f"the steps of workflow {workflow!r} form a cycle: {cycle}") from None


def _function(
    step: Mapping[str, Any], handlers: Mapping[str, Callable[..., Any]], where: str
) -> Callable[..., Any] | None:
    handler = step.get("handler")
    for key in (str(step["name"]), str(handler)):
        if key in handlers:
            return handlers[key]
    if handler is None:
        return None
    if not isinstance(handler, str):
        raise WorkflowError(f"{where} names the handler {handler!r}: write module.function")
    try:
        return import_function(handler)
    except WorkflowError as error:
        raise WorkflowError(f"{where} names the handler {handler!r}: {error}") from error


def _declared(step: Mapping[str, Any], function: Callable[..., Any], where: str) -> WorkflowStep:
    where = f"{where} ({location(function)})"
    parents = tuple(step["depends_on"])
    parameters = parameters_of(function, where)
    for parameter in parameters:
        if parameter not in (*parents, *RESERVED):
            raise WorkflowError(
                f"{where} has a parameter {parameter!r}, which is no step it depends on; "
                f"{_advice(parameter, [*parents, *RESERVED])}"
            )
    given = {name: step[name] for name in StepOptions.__annotations__ if name in step}
    options: Any = {name: value for name, value in given.items() if value is not None}
    check_options(function, options, where)
    return WorkflowStep(
        name=step["name"],
        function=function,
        parameters=parameters,
        depends_on=parents,
        options=options,
        where=where,
        signature=Signature(function, where),
    )


def _advice(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
