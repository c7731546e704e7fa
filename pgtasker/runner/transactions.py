"""The connection on which what a handler writes and the completion of its step are one transaction.

Responsible for opening such connections, at most so many at once and only when handlers ask, and
for the end of a transaction: committed with the completion, or not at all. A transaction that is
not committed ends with its connection. What becomes of other outcomes is left to `execution`.

`complete_step` and the commit are sent together: so a runner that stands still between the two
holds no lock of the engine.

Generated from async_transactions.py: change that file, then run tools/generate_sync_client.py.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import Connection, Cursor, Transaction
from psycopg.errors import InvalidParameterValue, PipelineAborted
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pgtasker import surface
from pgtasker.clients.twins import rest
from pgtasker.dsn import connection_string
from pgtasker.errors import ClaimLost, PermanentError, one_line, translated
from pgtasker.runner.link import is_refusal, is_transient, needs_a_person, pause_after
from pgtasker.runner.outcomes import COMMITTED, LOST, Outcome, failed, refused
from pgtasker.runner.step import no_longer_counts

if TYPE_CHECKING:
    from pgtasker.runner.attempt import Attempt

# What another handler may have left in the session; all of DISCARD ALL but the plans, which the
# engine's own functions need, and prepared statements, of which a pooler has its own.
CLEAN = """
    close all; set session authorization default; reset all; unlisten *;
    select pg_advisory_unlock_all(); discard temp; discard sequences
"""
# The server looks whether we are still there also while a statement runs or waits for a lock.
LOOK = "set local client_connection_check_interval = '1s'"


class Completions:
    """The connections of one runner for its completions: at most `most` are in use at once."""

    def __init__(self, dsn: str, schema: str, most: int) -> None:
        self.schema = schema
        self._dsn = connection_string(dsn)
        self._places = threading.Semaphore(most)
        self._idle: list[Connection[Any]] = []
        self._closed = False

    def take(self, attempt: Attempt) -> Connection[Any]:
        """A connection for an attempt; waits for a place, and for a database that is away.

        Raises ClaimLost if the attempt no longer counts then, and what nobody but a person can put
        right.
        """
        self._places.acquire()
        try:
            failures = 0
            while not attempt.cancelled:
                try:
                    return self._usable()
                except (psycopg.Error, OSError) as error:
                    if needs_a_person(error) or not is_transient(error):
                        raise
                    failures += 1
                    pause = pause_after(failures)
                    attempt.logger.warning(
                        "no connection",
                        connection="completion",
                        error=one_line(error),
                        retry_in=round(pause, 1),
                    )
                    rest(pause)
            raise no_longer_counts()
        except BaseException:
            self._places.release()
            raise

    def give_back(self, connection: Connection[Any], *, usable: bool) -> None:
        """The attempt needs it no longer."""
        try:
            if usable and not (connection.closed or self._closed):
                self._idle.append(connection)
            else:
                connection.close()
        finally:
            self._places.release()

    def close(self) -> None:
        """Close those that nobody uses; those in use are closed when they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _usable(self) -> Connection[Any]:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                # Nothing is prepared: a pooler may hand each transaction to another session.
                return Connection.connect(self._dsn, autocommit=True, prepare_threshold=None)
            try:
                connection.execute(CLEAN)
            except BaseException as error:
                connection.close()
                if not isinstance(error, psycopg.Error):
                    raise
            else:
                connection.row_factory = tuple_row
                connection.cursor_factory = Cursor
                return connection


class Completion:
    """The transaction of one attempt, if its handler asks for one.

    `ask` asks the database whether the attempt still counts, until it answers.
    """

    def __init__(
        self, attempt: Attempt, completions: Completions, ask: Callable[[None, None], Any]
    ) -> None:
        self._attempt = attempt
        self._completions = completions
        self._ask = ask
        self._opening = threading.Lock()
        self._using = threading.Lock()  # held for moments only
        self._connection: Connection[Any] | None = None
        self._transaction: AbstractContextManager[Transaction]
        self._is_over = False
        self._is_cut = False
        self.is_deciding = False  # whether only the database knows how the attempt ends

    def connection(self) -> Connection[Any]:
        """The connection, in a transaction that the first call begins."""
        with self._opening:
            if self._connection is None:
                connection = self._completions.take(self._attempt)
                with self._using:
                    self._connection = None if self._is_over else connection
                if self._connection is None:
                    self._completions.give_back(connection, usable=True)
                    raise no_longer_counts()
                self._begin(connection)
            if self._attempt.cancelled:
                raise no_longer_counts()
            return self._connection

    def cut(self) -> None:
        """The attempt no longer counts: undo what it wrote, whatever its handler is doing."""
        with self._using:
            self._is_cut = True
            if self._connection is not None and not self._connection.closed:
                with (
                    suppress(OSError),
                    socket.socket(fileno=os.dup(self._connection.fileno())) as line,
                ):
                    line.shutdown(socket.SHUT_RDWR)

    def end(self, outcome: Outcome) -> Outcome:
        """Complete the step and commit if the handler returned, undo what it wrote if not.

        Answers what is still to be reported, COMMITTED or LOST.
        """
        with self._using:
            self._is_over = True
        if self._connection is None:
            return outcome
        usable = False
        try:
            if outcome.outcome != "complete" or self._attempt.cancelled:
                return outcome
            self.is_deciding = True
            self._commit(self._connection, outcome)
            usable = True
            return COMMITTED
        except ClaimLost:
            return LOST
        except Exception as error:  # noqa: BLE001 - deferred constraints and triggers are anybody's
            return self._failed(self._connection, error)
        finally:
            self.is_deciding = False
            with self._using:
                connection, self._connection = self._connection, None
            self._completions.give_back(connection, usable=usable and not self._is_cut)

    def _begin(self, connection: Connection[Any]) -> None:
        try:
            self._transaction = connection.transaction()
            self._transaction.__enter__()
            with suppress(InvalidParameterValue):  # not every system can look
                _look(connection)
        except BaseException:
            connection.close()  # nothing is to be written there outside of a transaction
            raise

    def _commit(self, connection: Connection[Any], outcome: Outcome) -> None:
        if _is_idle(connection):
            raise PermanentError(
                "the handler ended the transaction of step.connection() by itself: leave that to "
                "the runner, what was committed is committed without the step"
            )
        claim = self._attempt.claim
        complete = surface.complete_step(
            claim.workflow_step_id, claim.claim_id, outcome.members["results"]
        )
        with translated():
            try:
                with connection.pipeline():
                    surface.execute(connection, self._completions.schema, complete)
                    self._transaction.__exit__(None, None, None)
            except PipelineAborted as error:  # because of what was sent before
                if isinstance(error.__context__, psycopg.Error):
                    raise error.__context__ from None
                raise
        if not _is_idle(connection):
            raise psycopg.OperationalError("the connection is lost")

    def _failed(self, connection: Connection[Any], error: Exception) -> Outcome:
        """What came of a commit that was refused, or whose answer was lost."""
        if connection.closed:
            try:
                self._ask(None, None)  # waits for a commit that is still under way
            except ClaimLost as lost:
                self._attempt.logger.info(
                    "commit unanswered", error=one_line(error), step_state=lost.step_state
                )
                return COMMITTED if lost.step_state == "complete" else LOST
        return refused(error) if is_refusal(error) else failed(error)


def _look(connection: Connection[Any]) -> None:
    with connection.transaction():
        connection.execute(LOOK)


def _is_idle(connection: Connection[Any]) -> bool:
    return connection.info.transaction_status == TransactionStatus.IDLE
