"""DBOS: async workflows on a queue that is polled ten times a second, with no limit of its own."""

from __future__ import annotations

import importlib
import os
import signal
import time
from typing import Any

from bench.peers.drive import telling

dbos: Any = importlib.import_module("dbos")
sqlalchemy: Any = importlib.import_module("sqlalchemy")


async def single(asked_at: float, payload: str) -> None:
    """A workflow without a step."""
    telling.started(asked_at)


async def noop(payload: str) -> str:
    return payload[:85]


def enqueue(name: str, total: int) -> None:
    """So many, a thousand to a transaction."""
    client = dbos.DBOSClient(system_database_url=telling.DSN)
    engine = sqlalchemy.create_engine(telling.DSN.replace("postgresql", "postgresql+psycopg", 1))
    for number in telling.portions(total):
        with engine.begin() as conn:
            for _ in range(number):
                client.enqueue_in_transaction(conn, options(name), 0.0, telling.PAYLOAD)
    client.destroy()


def options(name: str) -> dict[str, str]:
    return {"queue_name": "bench", "workflow_name": name, "app_version": "1"}


def declare() -> None:
    """The workflows, for a process that sets up or works."""
    config = {
        "name": "bench",
        "system_database_url": telling.DSN,
        "application_version": "1",
        "log_level": "ERROR",
    }
    dbos.DBOS(config=config)
    step = dbos.DBOS.step()(noop)

    async def linear(asked_at: float, payload: str) -> None:
        telling.started(asked_at)
        for _ in range(6):
            await step(payload)

    for function, name in ((single, "single"), (linear, "linear")):
        dbos.DBOS.workflow(name=name)(function)
    dbos.DBOS.launch()
    dbos.DBOS.register_queue("bench", polling_interval_sec=0.1, on_conflict="always_update")


if telling.COMMAND == "setup":
    declare()
    dbos.DBOS.destroy()
elif telling.COMMAND in ("single", "linear"):
    enqueue(telling.COMMAND, telling.argument(0))
elif telling.COMMAND == "timed":
    client = dbos.DBOSClient(system_database_url=telling.DSN)
    for _ in telling.every_tenth_of_a_second(telling.argument(0)):
        client.enqueue(options("single"), time.monotonic(), telling.PAYLOAD)
    client.destroy()
elif telling.COMMAND == "work":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    declare()
    while True:
        signal.pause()
