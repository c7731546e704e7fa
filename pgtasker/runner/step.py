"""The `step` that a handler may ask for: the attempt it is.

Responsible for what a handler can know of its attempt and for passing `extend` on. How the database
is reached is left to the runner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pgtasker.rows import ClaimedStep, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt of one step; `attempt` counts from 1 to at most `retry_limit`.

    `inputs` are the constants of the step's definition; `logger` bears the ids on every line.
    """

    workflow_step_id: int
    task_id: int
    claim_id: int
    namespace: str
    workflow: str
    version: str
    name: str
    attempt: int
    retry_limit: int
    inputs: Json
    tags: tuple[str, ...]
    logger: Any
    _extend: Callable[[float | None, Json], Any] = field(repr=False)


class Step(_Attempt):
    """The `step` of a handler that is a plain function and runs in a thread."""

    __slots__ = ()

    def extend(self, *, timeout: float | None = None, progress: Json = None) -> None:
        """Give this attempt `timeout` seconds from now, record its progress (any JSON), or both.

        Raises ClaimLost if the attempt no longer counts: then stop, the result is discarded.
        """
        self._extend(timeout, progress)


class AsyncStep(_Attempt):
    """The `step` of a handler that is a coroutine function and runs on the event loop."""

    __slots__ = ()

    async def extend(self, *, timeout: float | None = None, progress: Json = None) -> None:
        """Give this attempt `timeout` seconds from now, record its progress (any JSON), or both.

        Raises ClaimLost if the attempt no longer counts: then stop, the result is discarded.
        """
        await self._extend(timeout, progress)


def facts(claim: ClaimedStep) -> dict[str, Any]:
    """The fields of a claim that a `step` shows as they are."""
    return {
        "workflow_step_id": claim.workflow_step_id,
        "task_id": claim.task_id,
        "claim_id": claim.claim_id,
        "namespace": claim.namespace,
        "workflow": claim.workflow_name,
        "version": claim.version,
        "name": claim.step_name,
        "attempt": claim.attempt,
        "retry_limit": claim.retry_limit,
        "inputs": claim.inputs,
        "tags": tuple(claim.tags or ()),
    }
