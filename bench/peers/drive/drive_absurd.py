"""absurd: async tasks with checkpointed steps, 50 at once, its default poll of 0.25 s."""

from __future__ import annotations

import asyncio
import importlib
import time
from typing import Any

from bench.peers.drive import telling

psycopg: Any = importlib.import_module("psycopg")
absurd: Any = importlib.import_module("absurd_sdk")


def job(asked_at: float = 0.0) -> dict[str, Any]:
    return {"asked_at": asked_at, "payload": telling.PAYLOAD}


def spawn(name: str, total: int) -> None:
    """So many, a thousand to a transaction."""
    with psycopg.connect(telling.DSN, autocommit=True) as conn:
        app = absurd.Absurd(conn)
        for number in telling.portions(total):
            with conn.transaction():
                for _ in range(number):
                    app.spawn(name, job(), queue="default")


def spawn_timed(total: int) -> None:
    with psycopg.connect(telling.DSN, autocommit=True) as conn:
        app = absurd.Absurd(conn)
        for _ in telling.every_tenth_of_a_second(total):
            app.spawn("single", job(time.monotonic()), queue="default")


def set_up() -> None:
    schema = importlib.import_module("absurdctl").BUNDLED_SCHEMA_SQL
    with psycopg.connect(telling.DSN, autocommit=True) as conn:
        conn.execute(schema)
    absurd.Absurd(telling.DSN).create_queue("default")


def work() -> None:
    app = absurd.AsyncAbsurd(telling.DSN)

    async def single(params: Any, context: Any) -> None:
        telling.started(params["asked_at"])

    async def noop() -> str:
        return telling.PAYLOAD[:85]

    async def linear(params: Any, context: Any) -> None:
        telling.started(params["asked_at"])
        for number in range(6):
            await context.step(f"s{number}", noop)

    app.register_task("single")(single)
    app.register_task("linear")(linear)
    asyncio.run(app.start_worker(concurrency=50, poll_interval=0.25))


if telling.COMMAND == "setup":
    set_up()
elif telling.COMMAND in ("single", "linear"):
    spawn(telling.COMMAND, telling.argument(0))
elif telling.COMMAND == "timed":
    spawn_timed(telling.argument(0))
elif telling.COMMAND == "work":
    work()
