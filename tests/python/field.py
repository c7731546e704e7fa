"""A database in real time with runners in it: what the tests of runners speak with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from pgtasker import AsyncClient, Runner, Workflow
from pgtasker.rows import Task

from ..support.databases import Database

PATIENCE = 20.0  # seconds; reached only by a test that fails


class Field:
    """A database in real time, with a runner in it and a client that looks on."""

    def __init__(self, database: Database) -> None:
        database.set_clock(None)
        self.database = database
        self.db = database.main
        self.client = AsyncClient(database.dsn, schema=database.schema)

    @asynccontextmanager
    async def running(self, *workflows: Workflow, **options: Any) -> AsyncIterator[Runner]:
        """A runner at work; stopped at the end."""
        runner = Runner(self.database.dsn, workflows, schema=self.database.schema, **options)
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            if not task.done():
                runner.stop()
            async with asyncio.timeout(PATIENCE):
                await task

    async def run(self, workflow: Workflow, context: Any = None) -> Task:
        """Start a task of the workflow and wait for its end."""
        await self.client.register(workflow)
        task_id = await self.client.start(workflow, context)
        return await self.client.wait(task_id, timeout=PATIENCE)

    def play(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario to its end, and close what it opened."""

        async def whole() -> None:
            async with self.client:
                await scenario()

        asyncio.run(whole())

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Look until the condition holds; what it answers."""
        async with asyncio.timeout(PATIENCE):
            while not (answer := condition()):
                await asyncio.sleep(0.01)
            return answer

    def connections(self) -> list[int]:
        """The server processes of runners in this database."""
        return self.db.column(
            "select pid from pg_stat_activity where datname = current_database()"
            " and application_name = 'pgtasker'"
        )
