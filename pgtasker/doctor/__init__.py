"""Is anything wrong with an install, or with what surrounds it? One small check for each question.

Responsible for the order of the checks. What the engine knows of itself is asked through `surface`;
the queries here are about the server. Printing is left to the caller.

- `connecting`: what lies between here and the server
- `server`: its version and its settings
- `vacuum`: what keeps dead rows, and what they do
- `rights`: who may use the install
- `install`: the schema and the work in it
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from pgtasker.doctor.base import OK, PROBLEM, WARNING, Check, Finding, Level, Patient
from pgtasker.doctor.connecting import clocks, notifications, pooler
from pgtasker.doctor.install import (
    code,
    consistency,
    installed,
    locks,
    queues,
    runners,
)
from pgtasker.doctor.rights import privileges, roles
from pgtasker.doctor.server import autovacuum, connections, durability, sessions, version
from pgtasker.doctor.vacuum import dead_rows, prepared, slots, standbys, transactions, wraparound
from pgtasker.dsn import connection_string, shown
from pgtasker.errors import PgtaskerError, one_line

__all__ = ["Finding", "Level", "Patient", "examine"]

SERVER: tuple[tuple[str, Check], ...] = (
    ("server", version),
    ("pooler", pooler),
    ("notifications", notifications),
    ("clocks", clocks),
    ("connections", connections),
    ("sessions", sessions),
    ("durability", durability),
    ("autovacuum", autovacuum),
    ("transactions", transactions),
    ("prepared transactions", prepared),
    ("replication slots", slots),
    ("standbys", standbys),
    ("wraparound", wraparound),
)
INSTALL: tuple[tuple[str, Check], ...] = (
    ("code", code),
    ("privileges", privileges),
    ("roles", roles),
    ("dead rows", dead_rows),
    ("runners", runners),
    ("session locks", locks),
    ("queues", queues),
    ("consistency", consistency),
)


def examine(dsn: str, schema: str) -> Iterator[Finding]:
    """Run every check that makes sense, one after the other; `dsn` is a resolved one."""
    try:
        connection = psycopg.connect(connection_string(dsn), autocommit=True)
    except psycopg.Error as error:
        yield Finding("connection", PROBLEM, one_line(error), f"looked for {shown(dsn)}")
        return
    with connection:
        yield Finding("connection", OK, f"connected to {shown(dsn)}")
        patient = Patient(dsn, schema, connection)
        found = list(_findings(patient, "install", installed))
        yield from found
        is_there = all(finding.level != PROBLEM for finding in found)
        for name, check in (*SERVER, *(INSTALL if is_there else ())):
            yield from _findings(patient, name, check)


def _findings(patient: Patient, name: str, check: Check) -> Iterator[Finding]:
    try:
        for level, text, advice in check(patient):
            yield Finding(name, level, text, advice)
    except psycopg.errors.InsufficientPrivilege as error:
        advice = "look as a member of pg_monitor, or as the owner of the install"
        yield Finding(name, WARNING, f"cannot be checked: {one_line(error)}", advice)
    except (psycopg.Error, PgtaskerError) as error:
        yield Finding(name, PROBLEM, f"cannot be checked: {one_line(error)}")
