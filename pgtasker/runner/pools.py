"""The connections of a runner on which handlers write and complete.

Responsible for there being two kinds of them, one for coroutine functions and one for plain
functions. What happens on them is left to `async_transactions` and its twin.
"""

from __future__ import annotations

from pgtasker.runner.async_transactions import AsyncCompletions
from pgtasker.runner.transactions import Completions


class Pools:
    """At most `most` connections of either kind; none is opened before a handler asks."""

    def __init__(self, dsn: str, schema: str, most: int) -> None:
        self.for_coroutines = AsyncCompletions(dsn, schema, most)
        self.for_threads = Completions(dsn, schema, most)

    async def close(self) -> None:
        """Close what nobody uses."""
        await self.for_coroutines.close()
        self.for_threads.close()
