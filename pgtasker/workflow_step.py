"""One step of a workflow: its function, what the function receives, and its options.

Responsible for reading a function and for mistakes in its options that the database cannot see.
How steps depend on each other is left to `workflow`, how they are executed to the runner.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from pgtasker import payload
from pgtasker.errors import PayloadError, WorkflowError
from pgtasker.rows import Json
from pgtasker.typed import Typed, asks_for_reading, typed
from pgtasker.typed.annotations import RETURN, innermost, local_types, resolved

DEFAULT_QUEUE = "default"
RESERVED = ("context", "step")
EXECUTORS = ("async", "thread", "process")
_KEYWORD_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Backoff(TypedDict, total=False):
    """The pause after the n-th failure: base * factor^n seconds, but at most `max` seconds.

    With `jitter` (the default) it is drawn between that and base * factor^(n-1).
    """

    base: float
    factor: float
    max: float
    jitter: bool


class StoredOptions(TypedDict, total=False):
    """The options of a step that stand in its workflow's document, and that the database checks."""

    description: str
    handler: str
    queue: str
    priority: int
    retryable: bool
    retry_limit: int
    timeout: float
    backoff: Backoff
    skippable: bool
    inputs: Mapping[str, Any]


class RunnerOptions(TypedDict, total=False):
    """The options of a step that only its runner reads."""

    executor: Literal["async", "thread", "process"]
    concurrency: int


class StepOptions(StoredOptions, RunnerOptions, total=False):
    """The options of a step; what is absent has its default.

    `handler` is a name under which runners find the function whatever the workflow is called;
    `timeout` is in seconds; `retry_limit` is the number of attempts in all; a higher `priority`
    goes first; `inputs` is constant JSON that the running step finds in `step.inputs`.

    Two are for the runner alone: `executor` says where the function runs ("async", the default of
    coroutine functions, on the event loop; "thread", the default of others; "process", for what
    keeps a CPU busy, in another process), `concurrency` how many attempts of the step one runner
    executes at once, at most.
    """


class Signature:
    """The types of a function's parameters and of its result, each found when first asked for."""

    def __init__(self, function: Callable[..., Any], where: str) -> None:
        self._function = function
        self._where = where
        self.local = local_types(function)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: it has the same module, and reads it again."""
        return {"_function": self._function, "_where": self._where, "local": {}}

    @property
    def annotations(self) -> dict[str, Any]:
        """Every type that can be found by now; a class may be defined after the function."""
        return resolved(self._function, self.local)

    @functools.cached_property
    def parameters(self) -> dict[str, Typed]:
        """How the values of those parameters are read whose types ask for it."""
        names = [name for name in self.annotations if name not in (RETURN, "step")]
        return {name: reader for name in names if (reader := self._reader(name)) is not None}

    @functools.cached_property
    def result(self) -> Typed | None:
        """How the result is written, if its type asks for that."""
        return self._reader(RETURN)

    def _reader(self, name: str) -> Typed | None:
        annotation = self.annotations.get(name)
        try:
            return typed(annotation, self.local) if asks_for_reading(annotation) else None
        except Exception as error:  # pydantic has its own, and a class may do anything
            what = "result" if name == RETURN else f"parameter {name!r}"
            reason = " ".join(str(error).split())
            raise WorkflowError(
                f"{self._where} has a {what} whose type cannot be read from json: {reason}"
            ) from error


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """One declared step.

    `parameters` are the names that the function takes; `depends_on` those of them that are steps,
    and the steps it comes after; `where` says in errors which step it is, and in which file.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[str, ...]
    depends_on: tuple[str, ...]
    options: StepOptions
    where: str
    signature: Signature = field(repr=False, compare=False)

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
        """Whether the function is a coroutine function."""
        return is_async(self.function)

    @property
    def executor(self) -> str:
        """Where the function runs: "async", "thread" or "process"."""
        return self.options.get("executor") or ("async" if self.is_async else "thread")

    @property
    def concurrency(self) -> int | None:
        """How many attempts one runner executes at once, at most; None: as many as it can."""
        return self.options.get("concurrency")

    def definition(self) -> dict[str, Any]:
        """The step as part of the workflow's document."""
        depends_on = {"depends_on": list(self.depends_on)} if self.depends_on else {}
        return {"name": self.name, **depends_on, **stored(self.options)}

    def dumped(self, result: Any) -> Json:
        """The function's result as JSON, by the type of its annotation.

        Raises InvalidPayload if it does not fit that. Any other result is given back as it is.
        """
        reader = self.signature.result
        return result if reader is None else reader.dump(result, self.name)


def stored(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, or a step's document, without what only a runner reads."""
    return {
        name: value for name, value in options.items() if name not in RunnerOptions.__annotations__
    }


def parameters_of(function: Callable[..., Any], where: str) -> tuple[str, ...]:
    """The names of a function's parameters; raises WorkflowError if they are not all names."""
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


def location(function: Callable[..., Any]) -> str:
    """The file and line of a function."""
    code = getattr(innermost(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling the function gives a coroutine."""
    call = getattr(function, "__call__", None)  # noqa: B004 - asks for the method, to inspect it
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def check_options(function: Callable[..., Any], options: Mapping[str, Any], where: str) -> None:
    """Raise WorkflowError for options that the database cannot check.

    These are the runner's, and those that cannot be written down for the database.
    """
    try:
        payload.dump(stored(options), "what it is given")
    except PayloadError as error:
        raise WorkflowError(f"{where} has options of a wrong kind: {error}") from error
    concurrency = options.get("concurrency")
    if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
        raise WorkflowError(
            f"{where} has the concurrency {concurrency!r}: give a whole number from 1 on"
        )
    executor = options.get("executor")
    if executor is None:
        return
    if executor not in EXECUTORS:
        raise WorkflowError(
            f"{where} has the executor {executor!r}: there are {', '.join(EXECUTORS)}"
        )
    if executor == "async" and not is_async(function):
        raise WorkflowError(f"{where} has the executor 'async', but is no coroutine function")
    if executor != "async" and is_async(function):
        raise WorkflowError(f"{where} has the executor {executor!r}, but is a coroutine function")
    if executor == "process" and not _can_be_imported(function):
        raise WorkflowError(
            f"{where} has the executor 'process', but cannot be imported there: "
            "give a function with a name of its own in a module"
        )


def _can_be_imported(function: Callable[..., Any]) -> bool:
    """Whether another process could find the function by its name, once its module is read."""
    return isinstance(function, types.FunctionType) and "<" not in function.__qualname__
