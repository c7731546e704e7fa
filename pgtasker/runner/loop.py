"""An event loop that ends, also if something in it does not.

Responsible for the end alone: `asyncio.run` waits for ever for a coroutine that will not be
cancelled, and for a thread that was handed to the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]

PATIENCE = 1.0  # seconds for what is cancelled at the end


def run(main: Coroutine[Any, Any, T], loop_factory: LoopFactory | None = None) -> T:
    """Run a coroutine in an event loop of its own, cancel what is left there, and wait briefly."""
    loop = (loop_factory or asyncio.new_event_loop)()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        try:
            loop.run_until_complete(_leave(loop))
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def _leave(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=PATIENCE)
    await loop.shutdown_asyncgens()
    # That they never ended has been said; the loop would say it again for each.
    loop.set_exception_handler(lambda *_: None)
