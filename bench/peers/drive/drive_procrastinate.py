"""procrastinate: an async task that does nothing, 50 at once."""

from __future__ import annotations

import asyncio
import importlib
import time
from typing import Any

from bench.peers.drive import telling

procrastinate: Any = importlib.import_module("procrastinate")
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=telling.DSN))


async def single(asked_at: float, payload: str) -> None:
    """The job."""
    telling.started(asked_at)


task = app.task(name="single")(single)


def job(asked_at: float = 0.0) -> dict[str, Any]:
    return {"asked_at": asked_at, "payload": telling.PAYLOAD}


async def main() -> None:
    """Do what was asked."""
    async with app.open_async():
        if telling.COMMAND == "setup":
            await app.schema_manager.apply_schema_async()
        elif telling.COMMAND == "single":
            for number in telling.portions(telling.argument(0)):
                await task.batch_defer_async(*[job()] * number)
        elif telling.COMMAND == "timed":
            for _ in telling.every_tenth_of_a_second(telling.argument(0)):
                await task.defer_async(**job(time.monotonic()))
        elif telling.COMMAND == "work":
            await app.run_worker_async(concurrency=50)


asyncio.run(main())
