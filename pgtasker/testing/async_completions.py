"""What a handler writes and the completion of its step, in one transaction of the test's database.

Responsible for that transaction, a savepoint where the test has one open: kept with the completion,
or undone. Which connection it is on is left to `perform`.

The synchronous twin is generated from this module by tools/generate_sync_client.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from psycopg import AsyncConnection, AsyncTransaction, Rollback

from pgtasker import surface
from pgtasker.errors import ClaimLost
from pgtasker.rows import ClaimedStep
from pgtasker.runner.link import is_refusal
from pgtasker.runner.outcomes import COMMITTED, LOST, Outcome, failed, refused


class AsyncCompletion:
    """The transaction of one attempt, on the connection that `connect` gives: to be closed in the
    end if it is `own`.
    """

    def __init__(
        self, connect: Callable[[], Any], schema: str, claim: ClaimedStep, *, own: bool
    ) -> None:
        self._connect = connect
        self._schema = schema
        self._claim = claim
        self._own = own
        self._connection: AsyncConnection[Any] | None = None
        self._transaction: AbstractAsyncContextManager[AsyncTransaction]

    async def connection(self) -> AsyncConnection[Any]:
        """The connection, in a transaction that the first call begins."""
        if self._connection is None:
            self._connection = await self._connect()
            self._transaction = self._connection.transaction()
            await self._transaction.__aenter__()
        return self._connection

    async def end(self, outcome: Outcome) -> Outcome:
        """Complete the step with what it returned and keep what it wrote, or undo that.

        Answers what is still to be reported, COMMITTED or LOST.
        """
        if self._connection is None:
            return outcome
        try:
            return await self._ended(self._connection, outcome)
        finally:
            if self._own:
                await self._connection.close()

    async def _ended(self, connection: AsyncConnection[Any], outcome: Outcome) -> Outcome:
        if outcome.outcome == "complete":
            claim = self._claim
            complete = surface.complete_step(
                claim.workflow_step_id, claim.claim_id, outcome.members["results"]
            )
            try:
                await surface.execute_async(connection, self._schema, complete)
            except ClaimLost:
                outcome = LOST
            except Exception as error:  # noqa: BLE001 - a trigger of the application's is anybody's
                outcome = refused(error) if is_refusal(error) else failed(error)
        if outcome.outcome != "complete":
            await self._transaction.__aexit__(Rollback, Rollback(), None)
            return outcome
        try:
            await self._transaction.__aexit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - so is a deferred constraint
            return failed(error)
        return COMMITTED
