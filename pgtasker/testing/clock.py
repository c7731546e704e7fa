"""An install whose clock tests can move, and moving it.

Responsible for `install`, which makes such an install or turns one that is there into one, and for
`Clock`, the time of one session. What follows from the time is left to the database.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import tuple_row

from pgtasker import installer, surface
from pgtasker.client import Client
from pgtasker.dsn import resolve_schema
from pgtasker.schema_files import load_order
from pgtasker.testing.drive import move_clock
from pgtasker.testing.perform import perform

_MADE_FOR_TESTS = """
    insert into settings (name, value)
    values ('made_for_tests', 'true')
    on conflict (name) do update
    set value = excluded.value
"""


def install(connection: Connection[Any], schema: str | None = None) -> None:
    """Install pgtasker for tests, or make the clock of the install that is there movable.

    For databases of tests only: whoever moves the clock of a session could take the steps of every
    runner. An application whose migrations install pgtasker calls this once after them. In one
    transaction, which is the caller's if one is open. Raises InstallError if the database refuses.

        >>> with psycopg.connect(dsn) as connection:
        ...     pgtasker.testing.install(connection)
    """
    schema = resolve_schema(schema)
    with suppress(installer.AlreadyInstalledError):
        installer.install(connection, schema, testing=True)
        return
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        path = cursor.execute("select current_setting('search_path')").fetchone()
        identifier = sql.Identifier(schema)
        cursor.execute(sql.SQL("set local search_path = {}, pg_temp").format(identifier))
        for name, text in load_order(testing=True):
            if name.startswith("testing/"):
                cursor.execute(text.encode())
        cursor.execute(_MADE_FOR_TESTS)
        # The caller's transaction, if it is one, goes on with the search_path that it had.
        cursor.execute("select set_config('search_path', %s, true)", path)


class Clock:
    """The time by which the engine goes in the session of a client; others are not affected.

    It stands still once it was moved. Time that passes moves nothing by itself: runners, `run_task`
    and `run_all` act on what has come due.

        >>> clock = Clock(client)
        >>> task_id = client.start(fulfil, {"order": 42}, run_at=clock.now() + timedelta(days=1))
        >>> clock.move(hours=36)
        >>> [task.state for task in run_all(client, fulfil)]
        ['complete']
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def now(self) -> datetime:
        """The time there, with its time zone."""
        return self._client.call(surface.clock())

    def move(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Let that much time pass; raises ConfigurationError if the install is not for tests."""
        passed = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self.set(self.now() + passed)

    def set(self, moment: datetime) -> None:
        """Let it be that time, which needs a time zone; raises as `move` does."""
        if moment.tzinfo is None:
            raise ValueError(
                f"a time without a time zone cannot be set: {moment}, give it a tzinfo"
            )
        perform(self._client, None, move_clock(moment))

    def reset(self) -> None:
        """Real time again."""
        self._client.call(surface.set_session_clock(""))
