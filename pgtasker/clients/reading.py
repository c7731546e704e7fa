"""Where the synchronous client reads: from a replica if it has one that answers.

Responsible for going to the primary instead while the replica is away, for what the replica does
not have yet, and while a transaction of the caller's is open, in which reading must see what was
written. What is read so is left to the client; what is written, and waiting, never comes here.

Generated from async_reading.py: change that file, then run tools/generate_sync_client.py.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import Connection

from pgtasker import surface
from pgtasker.clients.access import Access, access_to
from pgtasker.dsn import replica_from_environment
from pgtasker.errors import NotInstalled

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

T = TypeVar("T")

# In seconds.
CONNECTING = 3.0  # until the primary is asked instead
ABSENCE = 30.0  # until a replica that was away is tried again


class Reading:
    """Sends calls that only read."""

    def __init__(self, primary: Access, replica: Access | None) -> None:
        self._primary = primary
        self._replica = replica
        self._away_until = 0.0

    def call(self, call: surface.Call[T]) -> T:
        """Send a call to the replica, or to the primary if the replica cannot answer."""
        if self._replica is None or self._is_primary_wanted():
            return self._primary.call(call)
        try:
            return self._replica.call(call)
        except psycopg.errors.NoDataFound:
            pass  # it may be there already
        except NotInstalled as error:
            raise NotInstalled(f"on the replica: {error}") from error
        except (psycopg.Error, OSError) as error:
            if _is_away(error):
                self._away_until = time.monotonic() + ABSENCE
            elif not _is_in_conflict(error):
                raise
        return self._primary.call(call)

    def close(self) -> None:
        """Close what was opened to the replica."""
        if self._replica is not None:
            self._replica.close()

    def _is_primary_wanted(self) -> bool:
        return self._primary.is_in_transaction() or time.monotonic() < self._away_until


def reading_from(
    primary: Access,
    database: str | Connection[Any] | ConnectionPool[Any] | None,
    replica: str | ConnectionPool[Any] | None,
) -> Reading:
    """The way to read for a client that was given these.

    PGTASKER_REPLICA_DSN counts where the environment says where the database is, too: of a database
    that was given nobody knows whether that is its replica. "" is no replica. Raises
    ConfigurationError for what cannot be used.
    """
    if replica is None and database is None:
        replica = replica_from_environment()
    if replica is None or replica == "":
        return Reading(primary, None)
    return Reading(primary, access_to(replica, primary.schema, within=CONNECTING))


def _is_away(error: Exception) -> bool:
    """It cannot be reached, or lets nobody in: not an answer to what was asked."""
    if isinstance(error, psycopg.InterfaceError | OSError):
        return True
    state = getattr(error, "sqlstate", None)
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    return state[:2] in ("08", "28", "53", "58") or state in ("57P01", "57P02", "57P03", "3D000")


def _is_in_conflict(error: Exception) -> bool:
    """The query was in the way of what the replica had to take over from the primary."""
    return isinstance(error, psycopg.errors.SerializationFailure)
