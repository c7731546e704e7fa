"""Workflows as plain Python functions.

Responsible for reading a DAG off decorated functions and for the JSON document that describes it to
the database, and for mistakes that can be seen without one: they are errors at the decorator and
point at the function. Whether the numbers make sense is left to `register_workflow`, which checks
every definition, whoever wrote it.

A step is declared after the steps it depends on. So a misspelt parameter is found on the line that
has it, and a cycle cannot be written down. In a file it can: see `declarations`.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, Unpack, overload

from pgtasker import declarations
from pgtasker.errors import WorkflowError
from pgtasker.rows import Json
from pgtasker.typed import Typed, asks_for_reading, typed
from pgtasker.typed.problems import CONTEXT
from pgtasker.workflow_step import (
    RESERVED,
    Backoff,
    Signature,
    StepOptions,
    WorkflowStep,
    check_options,
    location,
    parameters_of,
)

__all__ = ["Backoff", "StepOptions", "Workflow", "WorkflowStep", "identity"]

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_NAMESPACE = "default"
DEFAULT_VERSION = "0.1.0"
_STEP_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Workflow:
    """A workflow under construction: decorate its functions with `step`, parents first.

    The functions stay what they are: a test calls them like any other.

    `context` is the type of its tasks' context: a dataclass, a TypedDict or a pydantic model.
    Without it, the type is that of the `context` parameters of the steps, if any is annotated with
    such a type. A context that does not fit is refused by a client that starts this workflow; for
    everybody else the JSON Schema of the type is stored with it. `context_schema` is a schema to
    store instead.

    `retention` is how long its finished tasks are kept, in seconds or as a timedelta, at least two
    hours; without it the setting `retention` of the install says so. Then they go, with their log.
    """

    def __init__(
        self,
        name: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        version: str = DEFAULT_VERSION,
        description: str | None = None,
        context: Any = None,
        context_schema: Mapping[str, Json] | None = None,
        retention: float | timedelta | None = None,
    ) -> None:
        if context is not None and not asks_for_reading(context):
            raise WorkflowError(
                f"workflow {name!r} has a context of type {context!r}: "
                "give a dataclass, a TypedDict or a pydantic model"
            )
        self.name = name
        self.namespace = namespace
        self.version = version
        self.description = description
        self.context = context
        self.context_schema = context_schema
        self.retention = (
            retention.total_seconds() if isinstance(retention, timedelta) else retention
        )
        self.steps: dict[str, WorkflowStep] = {}
        self._written: dict[str, dict[str, Any]] = {}  # the steps of a document, as it has them
        self._first_context: tuple[Any, WorkflowStep] | None = None

    @classmethod
    def from_document(
        cls,
        document: Mapping[str, Any],
        handlers: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Workflow:
        """The workflow that a document describes, such as a JSON or YAML file holds.

        The function of a step is found in `handlers`, under the name of the step or of its
        `handler`; else `handler` is imported: module.function or module:function. A step without
        one must wait in a queue in which no step with one waits: runners elsewhere execute it.

        Raises WorkflowError for a step whose function is not found or asks for what the step does
        not depend on, for a cycle, and for fields that there are not.
        """
        workflow = cls(**declarations.described(document))
        for declared in declarations.declared_steps(document, handlers or {}):
            workflow.steps[declared.name] = declared
        for step in declarations.registered(document)["steps"]:
            workflow._written[step["name"]] = step
        return workflow

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
            self._expect_same_context(declared)
            self.steps[declared.name] = declared
            self.__dict__.pop("context_type", None)
            return function

        return declare if function is None else declare(function)

    def definition(self) -> dict[str, Any]:
        """The document that describes this workflow to the database."""
        description = {} if self.description is None else {"description": self.description}
        retention = {} if self.retention is None else {"retention": self.retention}
        schema = self._stored_schema()
        added = [step for name, step in self.steps.items() if name not in self._written]
        return {
            "namespace": self.namespace,
            "name": self.name,
            "version": self.version,
            **description,
            **({} if schema is None else {"context_schema": schema}),
            **retention,
            "steps": [*self._written.values(), *(step.definition() for step in added)],
        }

    @functools.cached_property
    def context_type(self) -> Typed | None:
        """How contexts are read, if there is a type for that."""
        annotation = self.context
        if annotation is None:
            annotation = self._agreed_context()
        local = {
            name: kind
            for step in self.steps.values()
            for name, kind in step.signature.local.items()
        }
        try:
            return None if annotation is None else typed(annotation, local)
        except Exception as error:  # pydantic has its own, and a class may do anything
            raise WorkflowError(
                f"workflow {self.name!r} has a context whose type cannot be read from json: "
                f"{' '.join(str(error).split())}"
            ) from error

    def check_context(self, context: Any) -> Json:
        """The context of a new task as JSON, with the defaults of its type filled in.

        It may be an instance of the type, or JSON that can be read as one; None is an empty object.
        What the type does not know is kept, unless a pydantic model decides otherwise. Without a
        type the context is given back as it is.

        Raises InvalidContext, which names every place that does not fit.
        """
        reader = self.context_type
        if reader is None:
            return context
        return reader.dump({} if context is None else context, CONTEXT)

    def _stored_schema(self) -> Mapping[str, Json] | None:
        """The schema to store: that of a document is what it says, whatever its functions take."""
        if self.context_schema is not None or self._written:
            return self.context_schema
        reader = self.context_type
        return None if reader is None else reader.schema()

    def _agreed_context(self) -> Any:
        """The type of the context with which the annotations of all steps agree, or None."""
        if self.context is None:
            self._first_context = None
            try:
                for step in self.steps.values():
                    self._expect_same_context(step)
            except WorkflowError:
                if self._written:  # a document has no place to say which
                    return None
                raise
        return self._first_context and self._first_context[0]

    def _expect_same_context(self, step: WorkflowStep) -> None:
        """Compare the type of a step's context with the first one; the first to have one is it."""
        if self.context is not None or CONTEXT not in step.parameters:
            return
        annotation = step.signature.annotations.get(CONTEXT)
        if not asks_for_reading(annotation):
            return
        if self._first_context is None:
            self._first_context = (annotation, step)
        elif self._first_context[0] != annotation:
            raise WorkflowError(
                f"{step.where} takes the context as another type than the step at "
                f"{location(self._first_context[1].function)}: "
                "say which it is with Workflow(context=...)"
            )

    def _declared(
        self,
        function: Callable[..., Any],
        name: str | None,
        after: Sequence[str | Callable[..., Any]],
        options: StepOptions,
    ) -> WorkflowStep:
        name = str(name or getattr(function, "__name__", ""))
        where = f"step {name!r} of workflow {self.name!r} ({location(function)})"
        if not _STEP_NAME.fullmatch(name) or name in RESERVED:
            raise WorkflowError(
                f"{where} cannot bear this name: use letters, digits and _, "
                "not first a digit, and neither context nor step"
            )
        if name in self.steps:
            first = location(self.steps[name].function)
            raise WorkflowError(f"{where} bears a name that is taken by the step at {first}")
        parameters = parameters_of(function, where)
        parents = [parameter for parameter in parameters if parameter not in RESERVED]
        for parent in parents:
            self._require_step(parent, f"{where} has a parameter {parent!r}")
        for entry in [after] if isinstance(after, str) else after:
            earlier = entry if isinstance(entry, str) else self._name_of(entry)
            self._require_step(earlier, f"{where} is to come after {earlier!r}")
            parents.append(earlier)
        check_options(function, options, where)
        return WorkflowStep(
            name=name,
            function=function,
            parameters=parameters,
            depends_on=tuple(dict.fromkeys(parents)),
            options=options,
            where=where,
            signature=Signature(function, where),
        )

    def _require_step(self, name: str, subject: str) -> None:
        if name in self.steps or name in self._written:
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
