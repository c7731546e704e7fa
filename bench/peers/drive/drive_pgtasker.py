"""pgtasker: async handlers, each step of `linear` after the one before, the runner's defaults."""

from __future__ import annotations

import logging
import time

import psycopg
import structlog

from bench.peers.drive import telling
from pgtasker import Client, Runner, Workflow, installer

single = Workflow("single")
linear = Workflow("linear")


@single.step(name="s1")
async def only(context: dict[str, object]) -> str:
    """The only step."""
    telling.started(float(str(context["asked_at"])))
    return telling.PAYLOAD[:85]


@linear.step
async def s1(context: dict[str, object]) -> str:
    """The first step."""
    telling.started(float(str(context["asked_at"])))
    return telling.PAYLOAD[:85]


@linear.step
async def s2(s1: str) -> str:
    return s1


@linear.step
async def s3(s2: str) -> str:
    return s2


@linear.step
async def s4(s3: str) -> str:
    return s3


@linear.step
async def s5(s4: str) -> str:
    return s4


@linear.step
async def s6(s5: str) -> str:
    return s5


def job(asked_at: float = 0.0) -> dict[str, object]:
    return {"asked_at": asked_at, "payload": telling.PAYLOAD}


def main() -> None:
    """Do what was asked."""
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    if telling.COMMAND == "work":
        Runner(telling.DSN, [single, linear], schema="pgtasker", register=False).run_forever()
        return
    if telling.COMMAND == "setup":
        with psycopg.connect(telling.DSN) as conn:
            installer.install(conn, "pgtasker")
    with Client(telling.DSN, schema="pgtasker") as client:
        if telling.COMMAND == "setup":
            client.register_many([single, linear])
        elif telling.COMMAND == "timed":
            for _ in telling.every_tenth_of_a_second(telling.argument(0)):
                client.start(single, job(time.monotonic()))
        else:
            for number in telling.portions(telling.argument(0)):
                client.start_many(f"default/{telling.COMMAND}", [job()] * number)


if __name__ == "__main__":
    main()
