"""The SQL surface driven without a runner: claim, decode, encode, report, as fast as Python can.

Responsible for clients that call `advance_json` and nothing else, each on a connection of its own.
What a claimed step says is decoded in full; of it, an outcome needs the two ids.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from bench import engine, fleet
from bench.drivers import creating

ADVANCE = "select claimed::text from advance_json(%s, %s::text::jsonb, %s)"
PAUSE = 0.002  # seconds, when there is nothing to claim and nothing to report


class Claimed(msgspec.Struct):
    """A step as `advance_json` hands it out: what a client needs to execute and to report it."""

    workflow_step_id: int
    claim_id: int
    step_name: str
    context: Any
    dependency_results: Any


class Outcome(msgspec.Struct):
    """How the execution of a step ended."""

    workflow_step_id: int
    claim_id: int
    results: Any
    outcome: str = "complete"


class Worked(msgspec.Struct):
    """What one client did: steps, when it began and ended (monotonic), its seconds of processor."""

    steps: int
    began: float
    ended: float
    cpu: float


_claimed = msgspec.json.Decoder(list[Claimed])
_encode = msgspec.json.Encoder().encode


def advance(conn: engine.Connection, runner_id: int, outcomes: bytes, batch: int) -> list[Claimed]:
    """One round trip."""
    cursor = conn.execute(ADVANCE, [runner_id, outcomes.decode(), batch], prepare=True)
    row = cursor.fetchone()
    assert row is not None
    return _claimed.decode(row[0])


def outcomes_of(claimed: list[Claimed]) -> bytes:
    """All of them complete, each with results of 100 bytes."""
    return _encode([Outcome(one.workflow_step_id, one.claim_id, engine.RESULTS) for one in claimed])


def work_off(
    dsn: str, batch: int, *, queues: Sequence[str] = ("default",), most: float = math.inf
) -> Worked:
    """Claim and complete in batches until no task of the database is unfinished, or so many steps
    are done."""
    with engine.connect(dsn) as conn:
        runner_id = engine.value(conn, "select register_runner('bench', %s)", list(queues))
        claimed = advance(conn, runner_id, outcomes_of([]), 0)  # prepares the statement
        fleet.all_ready()
        began = ended = time.monotonic()
        used, steps = fleet.own_cpu(), 0
        while True:
            reported = len(claimed)
            wanted = int(min(batch, most - steps - reported))
            claimed = advance(conn, runner_id, outcomes_of(claimed), wanted)
            if reported:
                steps += reported
                ended = time.monotonic()
            elif not claimed:
                if steps >= most or not _is_anything_left(conn):
                    break
                time.sleep(PAUSE)
        used = fleet.own_cpu() - used
        conn.execute("select deregister_runner(%s)", [runner_id])
        return Worked(steps, began, ended, used)


def churn(dsn: str, batch: int, seconds: float, last: float) -> float:
    """Work for so many seconds, starting a task for each that was worked off; answers the steps a
    second in the last so many of them."""
    with engine.connect(dsn) as conn:
        runner_id = engine.register_runner(conn)
        claimed = advance(conn, runner_id, outcomes_of([]), 0)
        fleet.all_ready()
        counts_from = time.monotonic() + seconds - last
        end = counts_from + last
        steps = owed = 0
        while (now := time.monotonic()) < end:
            reported = len(claimed)
            claimed = advance(conn, runner_id, outcomes_of(claimed), batch)
            owed += reported
            steps += reported if now >= counts_from else 0
            if owed >= 6 * creating.IN_ONE_CALL:
                creating.create(conn, "linear", creating.IN_ONE_CALL)
                owed -= 6 * creating.IN_ONE_CALL
        advance(conn, runner_id, outcomes_of(claimed), 0)
        conn.execute("select deregister_runner(%s)", [runner_id])
        return steps / last


def _is_anything_left(conn: engine.Connection) -> bool:
    return bool(engine.value(conn, "select exists (select from tasks where not complete)"))
