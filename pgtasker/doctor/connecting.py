"""What lies between this machine and the server: poolers, notifications, clocks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pgtasker.doctor.base import OK, WARNING, Patient, Result

LARGE_DIFFERENCE = timedelta(seconds=5)  # between two clocks
PATIENCE = 2.0  # seconds that a notification may take


def pooler(patient: Patient) -> Iterator[Result]:
    """Who answers is another process than the one that let us in; does it change?

    While the other connection is in a transaction, whoever shares sessions gives us another one.
    """
    ours = "select pg_backend_pid()"
    [(first,)] = patient.ask(ours)
    with patient.another() as other:
        other.autocommit = False
        other.execute(b"select 1")
        [(second,)] = patient.ask(ours)
        other.rollback()
    [(third,)] = patient.ask(ours)
    if len({first, second, third}) > 1:
        advice = (
            "runners find work by polling (--coordination poll) and a dead one is missed after its "
            "lease; give runners a connection of their own if that is too slow"
        )
        yield WARNING, "a pooler gives each transaction another session", advice
    elif patient.connection.info.backend_pid != first:
        yield OK, "there is one, and a connection keeps its session", ""
    else:
        yield OK, "none in the way", ""


def notifications(patient: Patient) -> Iterator[Result]:
    """Told on another connection: a pooler that shares sessions would pass on one's own."""
    channel = f"pgtasker_doctor_{secrets.token_hex(8)}"
    patient.connection.execute(f"listen {channel}".encode())
    with patient.another() as other:
        other.execute("select pg_notify(%s, '')", [channel])
    heard = list(patient.connection.notifies(timeout=PATIENCE, stop_after=1))
    patient.connection.execute(b"unlisten *")
    if heard:
        yield OK, "LISTEN and NOTIFY work on this connection", ""
        return
    advice = (
        "connect without a pooler, or with one in session mode; else run with --coordination poll"
    )
    yield WARNING, "a notification did not arrive: a pooler shares sessions", advice


def clocks(patient: Patient) -> Iterator[Result]:
    before = datetime.now(UTC)
    [(there,)] = patient.ask("select clock_timestamp()")
    here = before + (datetime.now(UTC) - before) / 2
    difference = abs(there - here)
    text = f"{difference.total_seconds():.1f} s between this machine and the server"
    if difference > LARGE_DIFFERENCE:
        yield WARNING, text, "set them right: the server's counts, and the times of others mislead"
    else:
        yield OK, text, ""
