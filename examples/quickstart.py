"""A workflow of four steps, run to its end by a runner in the same process.

    pgtasker install
    python examples/quickstart.py

Both look for the database in PGTASKER_DSN (`embedded` starts a private one), else where psql would.
The same workflow runs as a daemon with `pgtasker run examples/quickstart.py`.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from pgtasker import AsyncClient, AsyncStep, RetryableError, Runner, Workflow

fulfil = Workflow("fulfil_order", namespace="shop", version="1.0.0")


@fulfil.step
def validate(context: dict[str, Any]) -> dict[str, Any]:
    """The context is what the task was started with."""
    return {"order_id": context["order_id"], "total": sum(context["prices"])}


@fulfil.step(retry_limit=5, timeout=30)
async def charge(validate: dict[str, Any], step: AsyncStep) -> str:
    """A parameter named like a step depends on it and receives its results."""
    if step.attempt == 1 and random.random() < 0.5:
        raise RetryableError("the bank is busy", retry_after=0.5)
    return f"{validate['total']} EUR paid at attempt {step.attempt}"


@fulfil.step
def pack(validate: dict[str, Any]) -> str:
    """Runs beside `charge`: neither depends on the other."""
    return f"parcel of order {validate['order_id']}"


@fulfil.step
def ship(charge: str, pack: str) -> dict[str, str]:
    """Runs when both are complete; results of the last steps are those of the task."""
    return {"shipped": pack, "payment": charge}


async def main() -> None:
    """Start one task, execute it, show what came of it."""
    runner = Runner(None, [fulfil])
    running = asyncio.create_task(runner.run())
    async with AsyncClient() as client:
        await client.register(fulfil)
        task_id = await client.start(fulfil, {"order_id": 42, "prices": [20, 22]})
        task = await client.wait(task_id, timeout=60)
        print(f"task {task_id} is {task.state}: {task.results}")
    runner.stop()
    await running


if __name__ == "__main__":
    asyncio.run(main())
