"""What annotations mean: those of functions, and those of the fields of classes.

Responsible for finding the type that a parameter or a return value is annotated with, however it is
written: as a type, as text, under `from __future__ import annotations`, with names that exist only
in the function that declares the workflow; and for looking into types. How values of a type are
read is left to `typed`.

An annotation whose names cannot be found (they exist for the type checker only) means nothing here.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

RETURN = "return"


def local_types(function: Callable[..., Any]) -> dict[str, Any]:
    """The types that are defined beside a function inside of another one.

    Nothing but the frame of that other function knows them, so this must be asked while it runs.
    """
    code = getattr(innermost(function), "__code__", None)
    if code is None or "<locals>" not in getattr(innermost(function), "__qualname__", ""):
        return {}
    found: dict[str, Any] = {}
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == code.co_filename:
            for name, value in frame.f_locals.items():
                if isinstance(value, type) or typing.get_origin(value) is not None:
                    found.setdefault(name, value)
        frame = frame.f_back  # type: ignore[assignment]
    return found


def resolved(function: Callable[..., Any], local: Mapping[str, Any]) -> dict[str, Any]:
    """The types of the parameters, and of the return value as `return`, where they can be found."""
    signature = inspect.signature(function)
    written = {
        **{name: parameter.annotation for name, parameter in signature.parameters.items()},
        RETURN: signature.return_annotation,
    }
    names = getattr(innermost(function), "__globals__", {})
    found = {}
    for name, annotation in written.items():
        if annotation is not inspect.Signature.empty:
            try:
                found[name] = _evaluated(annotation, names, local)
            except Exception:  # noqa: BLE001 - an annotation may be any expression
                continue
    return found


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function below wrappers, partials, methods and callable objects."""
    while True:
        function = inspect.unwrap(function)
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif isinstance(function, types.FunctionType | types.BuiltinFunctionType | type):
            return function
        else:
            call = getattr(type(function), "__call__", None)  # noqa: B004 - the method is wanted
            if not isinstance(call, types.FunctionType):
                return function
            function = call


def is_structured(annotation: Any) -> bool:
    """Whether this is a dataclass or a TypedDict, also one with type arguments."""
    plain = typing.get_origin(annotation) or annotation
    # typing.is_typeddict does not know those of typing_extensions
    return isinstance(plain, type) and (is_dataclass(plain) or hasattr(plain, "__required_keys__"))


def is_model(annotation: Any) -> bool:
    """Whether this is a class of pydantic's; asked without importing pydantic."""
    return isinstance(annotation, type) and hasattr(annotation, "__pydantic_fields__")


def parts(annotation: Any) -> Iterator[Any]:
    """The annotation, and what stands in it between brackets and bars."""
    annotation = unaliased(annotation)
    yield annotation
    if typing.get_origin(annotation) is not typing.Literal:
        for argument in typing.get_args(annotation):
            yield from parts(argument)


def unaliased(annotation: Any) -> Any:
    """What a `type X = ...` or a NewType stands for."""
    for attribute in ("__supertype__", "__value__"):
        if not isinstance(annotation, type) and hasattr(annotation, attribute):
            return unaliased(getattr(annotation, attribute))
    return annotation


def fields_of(annotation: Any, local: Mapping[str, Any]) -> dict[str, Any]:
    """The types of the fields of a dataclass or a TypedDict, with its type arguments filled in."""
    plain = typing.get_origin(annotation) or annotation
    hints = typing.get_type_hints(plain, localns=dict(local), include_extras=True)
    variables = getattr(plain, "__parameters__", ())
    given = dict(zip(variables, typing.get_args(annotation), strict=False))
    return {name: _filled(hint, given) for name, hint in hints.items()}


def _evaluated(annotation: Any, names: Mapping[str, Any], local: Mapping[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    hints = typing.get_type_hints(
        holder, globalns=dict(names), localns=dict(local), include_extras=True
    )
    return hints["it"]


def _filled(hint: Any, given: Mapping[Any, Any]) -> Any:
    if isinstance(hint, typing.TypeVar):
        return given.get(hint, Any)
    variables = getattr(hint, "__parameters__", ())
    if not variables or isinstance(hint, type):
        return hint
    return hint[tuple(given.get(variable, Any) for variable in variables)]
