"""The attempt to which whatever runs now belongs, as context variables.

Responsible for the ids on every log line that a handler causes, also by way of libraries: whoever
merges structlog's context variables has them. How lines look is left to `pgtasker.service.logs`.
"""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from structlog.contextvars import STRUCTLOG_KEY_PREFIX, bind_contextvars

from pgtasker.runner.attempt import Attempt

current: ContextVar[Attempt] = ContextVar("pgtasker_attempt")

_variables: dict[str, ContextVar[Any]] = {}


def enter(attempt: Attempt) -> None:
    """The current context is that of the attempt from now on."""
    current.set(attempt)
    if not _variables.keys() >= attempt.ids.keys():
        _find(attempt.ids)
    for name, value in attempt.ids.items():
        _variables[name].set(value)


def _find(ids: Mapping[str, Any]) -> None:
    """The variables of structlog with these names: to set them takes a tenth of binding them."""
    context = contextvars.Context()
    context.run(bind_contextvars, **ids)
    for variable in context:
        _variables[variable.name.removeprefix(STRUCTLOG_KEY_PREFIX)] = variable
