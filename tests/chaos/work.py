"""The workflows that runners execute while faults are injected; `pgtasker run tests.chaos.work`.

How long a step takes, and how often it fails, is in the context of its task, so that a seed decides
it. Limits are high: no step may fail for good because its runner was killed often.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

from pgtasker import Step, Workflow
from pgtasker.runner import AsyncStep

OFTEN: dict[str, Any] = {"retry_limit": 100, "backoff": {"base": 0.02, "max": 0.1}}
PACKAGE = "tests.chaos.work"
NAME = "chaos/diamond"

diamond = Workflow("diamond", namespace="chaos")
ledger = Workflow("ledger", namespace="chaos")
STEPS = {"diamond": ["first", "left", "right", "last"], "ledger": ["enter", "post"]}

ACCOUNTS = 20
POINTS = ("not yet asked", "asked", "written", "returning")  # at which a runner kills itself
ENTER = "insert into public.effects values (%s, %s)"
ADD = "update public.accounts set balance = balance + 1 where account = %s"


class Expected(Exception):  # noqa: N818 - its name is what the log shows
    """The only error that these handlers raise."""


def _fail(context: dict[str, Any], step: Step | AsyncStep) -> None:
    if step.attempt <= context.get("failures", {}).get(step.name, 0):
        raise Expected(f"attempt {step.attempt}")


@diamond.step(**OFTEN)
async def first(context: dict[str, Any], step: AsyncStep) -> str:
    await asyncio.sleep(context["seconds"])
    _fail(context, step)
    return step.name


@diamond.step(**OFTEN)
async def left(first: str, context: dict[str, Any], step: AsyncStep) -> list[str]:
    await asyncio.sleep(context["seconds"])
    _fail(context, step)
    return [first, step.name]


@diamond.step(**OFTEN)
def right(first: str, context: dict[str, Any], step: Step) -> list[str]:
    time.sleep(context["seconds"])
    _fail(context, step)
    return [first, step.name]


@diamond.step(**OFTEN)
async def last(
    left: list[str], right: list[str], context: dict[str, Any], step: AsyncStep
) -> list[list[str]]:
    await asyncio.sleep(context["seconds"])
    _fail(context, step)
    return [left, right]


def _die(context: dict[str, Any], step: Step | AsyncStep, point: str) -> None:
    """The runner is killed there, in the first attempt."""
    if context.get("dies") == {"step": step.name, "point": point} and step.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@ledger.step(**OFTEN)
def enter(context: dict[str, Any], step: Step) -> str:
    """In a thread: write in the transaction of the completion."""
    _die(context, step, "not yet asked")
    connection = step.connection()
    _die(context, step, "asked")
    connection.execute(ENTER, [step.workflow_step_id, step.attempt])
    connection.execute(ADD, [context["account"]])
    _die(context, step, "written")
    time.sleep(context["seconds"])
    _fail(context, step)
    _die(context, step, "returning")
    return step.name


@ledger.step(**OFTEN)
async def post(enter: str, context: dict[str, Any], step: AsyncStep) -> list[str]:
    """The same on the event loop."""
    _die(context, step, "not yet asked")
    connection = await step.connection()
    _die(context, step, "asked")
    await connection.execute(ENTER, [step.workflow_step_id, step.attempt])
    await connection.execute(ADD, [context["account"]])
    _die(context, step, "written")
    await asyncio.sleep(context["seconds"])
    _fail(context, step)
    _die(context, step, "returning")
    return [enter, step.name]
