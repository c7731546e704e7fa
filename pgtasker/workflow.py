"""Workflows as plain Python functions.

Responsible for reading a DAG off decorated functions and for the JSON document that describes it to
the database, and for mistakes that can be seen without one: they are errors at the decorator and
point at the function. Whether the numbers make sense is left to `register_workflow`, which checks
every definition, whoever wrote it.

A step is declared after the steps it depends on. So a misspelt parameter is found on the line that
has it, and a cycle cannot be written down.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar, Unpack, overload

from pgtasker.errors import WorkflowError

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_NAMESPACE = "default"
DEFAULT_VERSION = "0.1.0"
DEFAULT_QUEUE = "default"
RESERVED = ("context", "step")
_STEP_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYWORD_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Backoff(TypedDict, total=False):
    """The pause after the n-th failure: base * factor^n seconds, but at most `max` seconds.

    With `jitter` (the default) it is drawn between that and base * factor^(n-1).
    """

    base: float
    factor: float
    max: float
    jitter: bool


class StepOptions(TypedDict, total=False):
    """The options of a step, as in a workflow's document; what is absent has the default there.

    `handler` is a name under which runners find the function whatever the workflow is called;
    `timeout` is in seconds; `retry_limit` is the number of attempts in all; a higher `priority`
    goes first; `inputs` is constant JSON that the running step finds in `step.inputs`.
    """

    handler: str
    queue: str
    priority: int
    retryable: bool
    retry_limit: int
    timeout: float
    backoff: Backoff
    skippable: bool
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """One declared step: its function, what the function receives, and its options.

    `parameters` are the names the function takes; `depends_on` those of them that are steps, and
    the steps it comes after.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[str, ...]
    depends_on: tuple[str, ...]
    options: StepOptions

    @property
    def handler(self) -> str | None:
        """The name under which runners find the function, if it has one of its own."""
        return self.options.get("handler")

    @property
    def queue(self) -> str:
        """The queue in which the step waits."""
        return self.options.get("queue", DEFAULT_QUEUE)

    @property
    def is_async(self) -> bool:
        """Whether the function runs on the event loop; any other runs in a thread."""
        function = self.function
        call = getattr(function, "__call__", None)  # noqa: B004 - asks for the method, to inspect it
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)

    def definition(self) -> dict[str, Any]:
        """The step as part of the workflow's document."""
        depends_on = {"depends_on": list(self.depends_on)} if self.depends_on else {}
        return {"name": self.name, **depends_on, **self.options}


class Workflow:
    """A workflow under construction: decorate its functions with `step`, parents first.

    The functions stay what they are: a test calls them like any other.
    """

    def __init__(
        self,
        name: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        version: str = DEFAULT_VERSION,
        description: str | None = None,
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.version = version
        self.description = description
        self.steps: dict[str, WorkflowStep] = {}

    def __repr__(self) -> str:
        return f"<Workflow {self.namespace}/{self.name} {self.version}>"

    @overload
    def step(self, function: F, /) -> F: ...

    @overload
    def step(
        self,
        /,
        *,
        name: str | None = ...,
        after: Sequence[str | Callable[..., Any]] = ...,
        **options: Unpack[StepOptions],
    ) -> Callable[[F], F]: ...

    def step(
        self,
        function: F | None = None,
        /,
        *,
        name: str | None = None,
        after: Sequence[str | Callable[..., Any]] = (),
        **options: Unpack[StepOptions],
    ) -> F | Callable[[F], F]:
        """Declare a step.

        A parameter that bears the name of an earlier step depends on it and receives its results;
        `context` receives the task's context, `step` the running step. `after` names further steps
        (or gives their functions) to wait for, whose results are not passed on. `StepOptions` says
        what else can be chosen.
        """
        unknown = options.keys() - StepOptions.__annotations__.keys()
        if unknown:
            known = ", ".join(StepOptions.__annotations__)
            raise TypeError(f"a step has no option {min(unknown)!r}: there are {known}")

        def declare(function: F) -> F:
            declared = self._declared(function, name, after, options)
            self.steps[declared.name] = declared
            return function

        return declare if function is None else declare(function)

    def definition(self) -> dict[str, Any]:
        """The document that describes this workflow to the database."""
        description = {} if self.description is None else {"description": self.description}
        return {
            "namespace": self.namespace,
            "name": self.name,
            "version": self.version,
            **description,
            "steps": [step.definition() for step in self.steps.values()],
        }

    def _declared(
        self,
        function: Callable[..., Any],
        name: str | None,
        after: Sequence[str | Callable[..., Any]],
        options: StepOptions,
    ) -> WorkflowStep:
        name = str(name or getattr(function, "__name__", ""))
        where = f"step {name!r} of workflow {self.name!r} ({_location(function)})"
        if not _STEP_NAME.fullmatch(name) or name in RESERVED:
            raise WorkflowError(
                f"{where} cannot bear this name: use letters, digits and _, "
                "not first a digit, and neither context nor step"
            )
        if name in self.steps:
            first = _location(self.steps[name].function)
            raise WorkflowError(f"{where} bears a name that is taken by the step at {first}")
        parameters = _parameters(function, where)
        parents = [parameter for parameter in parameters if parameter not in RESERVED]
        for parent in parents:
            self._require_step(parent, f"{where} has a parameter {parent!r}")
        for entry in [after] if isinstance(after, str) else after:
            earlier = entry if isinstance(entry, str) else self._name_of(entry)
            self._require_step(earlier, f"{where} is to come after {earlier!r}")
            parents.append(earlier)
        return WorkflowStep(
            name=name,
            function=function,
            parameters=parameters,
            depends_on=tuple(dict.fromkeys(parents)),
            options=options,
        )

    def _require_step(self, name: str, subject: str) -> None:
        if name in self.steps:
            return
        close = difflib.get_close_matches(name, [*self.steps, *RESERVED], n=1)
        known = ", ".join(self.steps) or "none"
        advice = f"did you mean {close[0]!r}?" if close else f"steps declared so far: {known}"
        raise WorkflowError(f"{subject}, which is no step declared before it; {advice}")

    def _name_of(self, function: Callable[..., Any]) -> str:
        for step in self.steps.values():
            if step.function is function:
                return step.name
        return getattr(function, "__name__", repr(function))


def identity(
    workflow: Workflow | str, namespace: str | None = None, version: str | None = None
) -> dict[str, Any]:
    """Namespace, name and version to start: those given, else those of the workflow.

    A name may be written NAMESPACE/NAME: no name holds a slash.
    """
    if isinstance(workflow, str):
        before, _, name = workflow.rpartition("/")
        return {"namespace": namespace or before or None, "name": name, "version": version}
    return {
        "namespace": namespace or workflow.namespace,
        "name": workflow.name,
        "version": version or workflow.version,
    }


def _parameters(function: Callable[..., Any], where: str) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise WorkflowError(f"{where} has no readable parameters: {error}") from error
    for parameter in parameters:
        if parameter.kind not in _KEYWORD_KINDS:
            raise WorkflowError(
                f"{where} has a parameter {str(parameter)!r}: "
                "give every step it depends on a parameter of its own name"
            )
    return tuple(parameter.name for parameter in parameters)


def _location(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)
