"""pgqueuer over asyncpg and uvloop: an async entrypoint that does nothing, batches of 100."""

from __future__ import annotations

import asyncio
import importlib
import json
import signal
import time
from typing import Any

from bench.peers.drive import telling

asyncpg: Any = importlib.import_module("asyncpg")
uvloop: Any = importlib.import_module("uvloop")
pgqueuer: Any = importlib.import_module("pgqueuer")
AsyncpgDriver: Any = importlib.import_module("pgqueuer.db").AsyncpgDriver
Queries: Any = importlib.import_module("pgqueuer.queries").Queries


def job(asked_at: float = 0.0) -> bytes:
    return json.dumps([asked_at, telling.PAYLOAD]).encode()


async def work(driver: Any) -> None:
    """Until SIGTERM."""
    manager = pgqueuer.PgQueuer(driver)

    async def single(job: Any) -> None:
        asked_at, _ = json.loads(job.payload)
        telling.started(asked_at)

    manager.entrypoint("single")(single)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, manager.shutdown.set)
    await manager.run(batch_size=100)


async def main() -> None:
    """Do what was asked."""
    driver = AsyncpgDriver(await asyncpg.connect(telling.DSN))
    queries = Queries(driver)
    if telling.COMMAND == "setup":
        await queries.install()
    elif telling.COMMAND == "single":
        for number in telling.portions(telling.argument(0)):
            await queries.enqueue(["single"] * number, [job()] * number, [0] * number)
    elif telling.COMMAND == "timed":
        for _ in telling.every_tenth_of_a_second(telling.argument(0)):
            await queries.enqueue("single", job(time.monotonic()))
    elif telling.COMMAND == "work":
        await work(driver)


uvloop.run(main())
