"""The rollups of a test: counted on, or to the end."""

from __future__ import annotations

import time

from ..support.session import PATIENCE, Session


def count_on(db: Session) -> None:
    """Some of what was committed is counted."""
    db.run("update rollup_progress set rolled_up_at = '-infinity'")
    db.call("maintain")


def roll_up(db: Session) -> None:
    """All that was committed by now is counted, once no older transaction of the server is open,
    those of other tests included."""
    reached = db.one("select txid_snapshot_xmax(txid_current_snapshot())")
    count_on(db)
    end = time.monotonic() + 3 * PATIENCE
    while db.one("select next_xact_id from rollup_progress") < reached:
        assert time.monotonic() < end, "an older transaction stays open"
        time.sleep(0.02)  # of another database, perhaps: nothing here tells of its end
        count_on(db)
