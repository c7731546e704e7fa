"""Executions without a runner around them: a bench on which handlers are tried."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from pgtasker import Workflow
from pgtasker.rows import Json
from pgtasker.runner.attempt import Attempt
from pgtasker.runner.execution import Executions
from pgtasker.runner.executors import AsyncExecutor, Executor, ThreadExecutor
from pgtasker.runner.handlers import Handlers
from pgtasker.runner.reports import Reports

PATIENCE = 20.0  # seconds; reached only by a test that fails


class Lines:
    """A logger that keeps its lines, each as its fields with `event` and `level`."""

    def __init__(self, kept: list[dict[str, Any]] | None = None, **bound: Any) -> None:
        self.kept: list[dict[str, Any]] = [] if kept is None else kept
        self._bound = bound

    def bind(self, **fields: Any) -> Lines:
        return Lines(self.kept, **{**self._bound, **fields})

    def __getattr__(self, level: str) -> Callable[..., None]:
        def write(event: str, **fields: Any) -> None:
            self.kept.append({"event": event, "level": level, **self._bound, **fields})

        return write

    def named(self, event: str) -> list[dict[str, Any]]:
        """The lines of this event."""
        return [line for line in self.kept if line["event"] == event]


class Bench:
    """Executions of a workflow `flow` whose only step is `work`."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        executors: dict[str, Executor] | None = None,
        slots: int = 100,
        **options: Any,
    ) -> None:
        workflow = Workflow("flow")
        workflow.step(name="work", **options)(function)
        self.reports = Reports()
        self.extended: list[tuple[float | None, Json]] = []
        self.told = asyncio.Event()
        self.lines = Lines()
        self.may_extend = asyncio.Event()
        self.may_extend.set()
        self.refusal: Exception | None = None  # what the database says to an extension
        self.executions = Executions(
            Handlers([workflow]),
            {"async": AsyncExecutor(), "thread": ThreadExecutor(), **(executors or {})},
            self.reports,
            self._extend,
            self.told.set,
            self.lines,
            "runner",
            slots=slots,
        )

    async def _extend(self, attempt: Attempt, timeout: float | None, progress: Json) -> None:
        await self.may_extend.wait()
        if self.refusal is not None:
            raise self.refusal
        self.extended.append((timeout, progress))

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for what the executions tell."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.told.clear()
                await self.told.wait()

    async def ended(self) -> dict[str, Any]:
        """The report of the one attempt, once there is one."""
        await self.until(lambda: len(self.reports) > 0)
        [report] = self.reported().values()
        return report

    def reported(self) -> dict[int, dict[str, Any]]:
        """The reports so far, by claim."""
        return {claim: json.loads(text) for claim, text in self.reports.batch().items()}


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function to its end."""
    asyncio.run(scenario())


async def reached(condition: Callable[[], Any]) -> None:
    """Look until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)
