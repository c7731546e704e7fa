"""A runner that sleeps and listens."""

from __future__ import annotations

from ..support.databases import Database
from ..support.session import Row, Session


class Sleeper:
    """A runner with a session of its own that found nothing and waits."""

    def __init__(self, database: Database, *queues: str, name: str = "sleeper") -> None:
        self.session: Session = database.connect(name)
        self.runner = self.session.register(*queues, name=name)
        channel = self.session.call("wake_up_channel", runner_id=self.runner)
        self.session.run(f'listen "{channel}"')

    def look(self, max_steps: int = 1) -> list[Row]:
        """Claim; what was said so far is forgotten."""
        claimed = self.session.claim(max_steps, self.runner)
        self.heard()
        return claimed

    def heard(self) -> int:
        """How often it was told to look since the last question."""
        self.session.one("select 1")
        return len(list(self.session.conn.notifies(timeout=0)))

    def alarm(self) -> float | None:
        """In how many seconds it looks again by itself; None: it is not asleep."""
        seconds = self.session.one(
            "select extract(epoch from waiting_until - clock())::float8 from list_runners()"
            " where runner_id = %s",
            self.runner,
        )
        return None if seconds is None else float(seconds)


def asleep(database: Database, *queues: str, name: str = "sleeper") -> Sleeper:
    """A new one, sleeping."""
    sleeper = Sleeper(database, *queues, name=name)
    assert sleeper.look() == []
    assert sleeper.alarm() is not None
    return sleeper
