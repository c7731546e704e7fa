"""What a handler writes and the completion of its step, in one transaction of the test's database.

Responsible for that transaction, a savepoint where the test has one open: kept with the completion,
or undone. Which connection it is on is left to `perform`.

Generated from async_completions.py: change that file, then run tools/generate_sync_client.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from psycopg import Connection, Rollback, Transaction

from pgtasker import surface
from pgtasker.errors import ClaimLost
from pgtasker.rows import ClaimedStep
from pgtasker.runner.link import is_refusal
from pgtasker.runner.outcomes import COMMITTED, LOST, Outcome, failed, refused


class Completion:
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
        self._connection: Connection[Any] | None = None
        self._transaction: AbstractContextManager[Transaction]

    def connection(self) -> Connection[Any]:
        """The connection, in a transaction that the first call begins."""
        if self._connection is None:
            self._connection = self._connect()
            self._transaction = self._connection.transaction()
            self._transaction.__enter__()
        return self._connection

    def end(self, outcome: Outcome) -> Outcome:
        """Complete the step with what it returned and keep what it wrote, or undo that.

        Answers what is still to be reported, COMMITTED or LOST.
        """
        if self._connection is None:
            return outcome
        try:
            return self._ended(self._connection, outcome)
        finally:
            if self._own:
                self._connection.close()

    def _ended(self, connection: Connection[Any], outcome: Outcome) -> Outcome:
        if outcome.outcome == "complete":
            claim = self._claim
            complete = surface.complete_step(
                claim.workflow_step_id, claim.claim_id, outcome.members["results"]
            )
            try:
                surface.execute(connection, self._schema, complete)
            except ClaimLost:
                outcome = LOST
            except Exception as error:  # noqa: BLE001 - a trigger of the application's is anybody's
                outcome = refused(error) if is_refusal(error) else failed(error)
        if outcome.outcome != "complete":
            self._transaction.__exit__(Rollback, Rollback(), None)
            return outcome
        try:
            self._transaction.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - so is a deferred constraint
            return failed(error)
        return COMMITTED
