"""Is anything wrong with an install, or with what surrounds it? One small check for each question.

Responsible for the checks and for what to do about what they find. What the engine knows of itself
is asked through `surface`; the queries here are about the server. Printing is left to the caller.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pgtasker import surface
from pgtasker.client import Client
from pgtasker.dsn import connection_string, shown
from pgtasker.errors import PgtaskerError, one_line
from pgtasker.installer import InstallError, installed_version, require_server, some
from pgtasker.schema_files import SCHEMA_VERSION, is_newer, objects

Level = Literal["ok", "warning", "problem"]

OLD_TRANSACTION = timedelta(minutes=5)
LARGE_DIFFERENCE = timedelta(seconds=5)  # between two clocks
PATIENCE = 2.0  # seconds that a notification may take
SHOWN_VIOLATIONS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `advice` says what to do about what is not ok."""

    check: str
    level: Level
    text: str
    advice: str = ""


Result = tuple[Level, str, str]
OK: Level = "ok"
WARNING: Level = "warning"
PROBLEM: Level = "problem"


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at."""

    dsn: str
    schema: str
    connection: psycopg.Connection[Any]

    def ask(self, query: str, *arguments: object) -> list[Any]:
        """The rows of a query about the server."""
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.encode(), arguments or None).fetchall()

    def call(self, call: surface.Call[Any]) -> Any:
        """What the engine answers."""
        return Client(self.connection, schema=self.schema).call(call)

    def another(self) -> psycopg.Connection[Any]:
        """One more connection."""
        return psycopg.connect(connection_string(self.dsn), autocommit=True)


Check = Callable[[Patient], Iterator[Result]]


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
        found = list(_findings(patient, "install", _install))
        yield from found
        installed = all(finding.level != PROBLEM for finding in found)
        for name, check in (*SERVER, *(INSTALL if installed else ())):
            yield from _findings(patient, name, check)


def _findings(patient: Patient, name: str, check: Check) -> Iterator[Finding]:
    """A check that cannot be made is a finding too, and harms no other."""
    try:
        for level, text, advice in check(patient):
            yield Finding(name, level, text, advice)
    except (psycopg.Error, PgtaskerError) as error:
        yield Finding(name, PROBLEM, f"cannot be checked: {one_line(error)}")


def _install(patient: Patient) -> Iterator[Result]:
    schema = patient.schema
    try:
        version = installed_version(patient.connection, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        yield PROBLEM, one_line(error), f"grant usage on schema {schema!r} to this user"
        return
    if version is None:
        yield PROBLEM, f"nothing is installed in schema {schema!r}", "pgtasker install"
    elif is_newer(version):
        advice = "upgrade the package: pip install --upgrade pgtasker"
        yield PROBLEM, f"version {version} is newer than {SCHEMA_VERSION} of this package", advice
    elif version != SCHEMA_VERSION:
        advice = "pgtasker upgrade"
        yield PROBLEM, f"version {version} is older than {SCHEMA_VERSION} of this package", advice
    else:
        yield OK, f"version {version} in schema {schema!r}", ""


# About the server.


def _server(patient: Patient) -> Iterator[Result]:
    version = patient.connection.info.parameter_status("server_version")
    try:
        require_server(patient.connection)
    except InstallError as error:
        yield PROBLEM, str(error), "upgrade the server"
        return
    if patient.ask("select pg_is_in_recovery()") == [(True,)]:
        advice = "connect to the primary: target_session_attrs=read-write in the DSN finds it"
        yield PROBLEM, f"PostgreSQL {version}, a standby: it accepts no work", advice
    else:
        yield OK, f"PostgreSQL {version}", ""


def _notifications(patient: Patient) -> Iterator[Result]:
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


def _autovacuum(patient: Patient) -> Iterator[Result]:
    off = [
        name
        for name in ("autovacuum", "track_counts")
        if patient.ask("select current_setting(%s)", name) != [("on",)]
    ]
    if off:
        advice = f"set {' and '.join(off)} to on: the queue's tables collect dead rows all the time"
        yield PROBLEM, f"{' and '.join(off)} off", advice
    else:
        yield OK, "on", ""


def _transactions(patient: Patient) -> Iterator[Result]:
    rows = patient.ask(
        """
        select
            format('process %%s (%%s)', pid, concat_ws(', ', usename, application_name, state)),
            xact_start
        from pg_stat_activity
        where datname = current_database()
        and pid <> pg_backend_pid()
        and xact_start < clock_timestamp() - %s
        order by xact_start
        """,
        OLD_TRANSACTION,
    )
    if not rows:
        yield OK, "none is open for long", ""
    for who, since in rows[:1]:
        more = f", and {len(rows) - 1} more" if rows[1:] else ""
        text = f"{who} has one open since {since.astimezone():%Y-%m-%d %H:%M:%S}{more}"
        yield WARNING, text, "commit or end it: meanwhile no dead row can be removed"


def _prepared(patient: Patient) -> Iterator[Result]:
    rows = patient.ask("select gid from pg_prepared_xacts order by prepared")
    if rows:
        advice = "commit prepared or rollback prepared: they hold locks and dead rows for ever"
        yield WARNING, f"waiting: {some([str(gid) for (gid,) in rows])}", advice
    else:
        yield OK, "none", ""


def _slots(patient: Patient) -> Iterator[Result]:
    rows = patient.ask("select slot_name::text from pg_replication_slots where not active")
    if rows:
        advice = "start their consumers, or drop them: they keep WAL, and perhaps dead rows"
        yield WARNING, f"not in use: {some([name for (name,) in rows])}", advice
    else:
        yield OK, "none is unused", ""


def _clocks(patient: Patient) -> Iterator[Result]:
    before = datetime.now(UTC)
    [(there,)] = patient.ask("select clock_timestamp()")
    here = before + (datetime.now(UTC) - before) / 2
    difference = abs(there - here)
    text = f"{difference.total_seconds():.1f} s between this machine and the server"
    if difference > LARGE_DIFFERENCE:
        yield WARNING, text, "set them right: the server's counts, and the times of others mislead"
    else:
        yield OK, text, ""


# About the install.


def _code(patient: Patient) -> Iterator[Result]:
    settings = sql.Identifier(patient.schema, "settings").as_string(None)
    marked = patient.ask(
        f"select 1 from {settings} where name = 'made_for_tests' and value = 'true'"
    )
    if marked:
        yield WARNING, "made for tests: any client can move its clock", "use another for real work"
    functions = patient.ask(
        """
        select
            function.proname,
            not coalesce(
                (
                    select bool_or(setting = format('search_path=%%I, pg_temp', namespace.nspname))
                    from unnest(function.proconfig) as setting
                    where starts_with(setting, 'search_path=')
                ),
                true
            )
        from pg_proc function
        join pg_namespace namespace on namespace.oid = function.pronamespace
        where namespace.nspname = %s and function.proname = any (%s)
        """,
        patient.schema,
        list(objects(testing=False).names["function"]),
    )
    missing = set(objects(testing=False).names["function"]) - {name for name, _ in functions}
    if missing:
        yield PROBLEM, f"functions are missing: {some(sorted(missing))}", "pgtasker upgrade"
    if any(elsewhere for _, elsewhere in functions):
        text = "the schema was renamed: its functions look for the old name"
        yield PROBLEM, text, "pgtasker upgrade"
    elif not missing:
        yield OK, f"{len(functions)} functions are there, and find the schema", ""


def _privileges(patient: Patient) -> Iterator[Result]:
    [(user, owns)] = patient.ask(
        "select current_user, pg_has_role(relowner, 'usage') from pg_class relation"
        " join pg_namespace namespace on namespace.oid = relation.relnamespace"
        " where namespace.nspname = %s and relation.relname = 'settings'",
        patient.schema,
    )
    if owns:
        yield OK, f"{user} owns the install", ""
        return
    rows = patient.ask(
        """
        select relation.relname
        from pg_class relation
        join pg_namespace namespace on namespace.oid = relation.relnamespace
        where namespace.nspname = %s
        and relation.relname = any (%s)
        and exists (
            select
            from unnest(array['select', 'insert', 'update', 'delete']) as needed
            where not has_table_privilege(relation.oid, needed)
        )
        order by relation.relname
        """,
        patient.schema,
        list(objects().names["table"]),
    )
    if rows:
        text = f"{user} may not do everything with {some([name for (name,) in rows])}"
        yield WARNING, text, "let the owner grant what is needed, or connect as the owner"
    else:
        yield OK, f"{user} may start, run and look at tasks", ""


def _runners(patient: Patient) -> Iterator[Result]:
    runners = patient.call(surface.list_runners())
    live = [runner for runner in runners if runner.state == "live"]
    lost = [runner for runner in runners if runner.state == "lost" and runner.held_steps]
    if lost:
        names = some([f"{runner.name} ({runner.held_steps} steps)" for runner in lost])
        yield WARNING, f"lost with what they hold: {names}", "any runner takes that over: start one"
    yield OK, f"{len(live)} live, with {sum(runner.held_steps for runner in live)} steps", ""


def _queues(patient: Patient) -> Iterator[Result]:
    queues = patient.call(surface.list_queues())
    waiting = [queue for queue in queues if queue.depth]
    for queue in waiting:
        steps = f"{queue.queue}: {queue.depth} ready"
        if queue.paused:
            yield WARNING, f"{steps}, but it is paused", f"pgtasker resume {queue.queue}"
        elif not queue.runners:
            advice = f"pgtasker run MODULE --queue {queue.queue}"
            yield PROBLEM, f"{steps}, but no live runner serves it", advice
    if not any(queue.paused or not queue.runners for queue in waiting):
        yield OK, f"{sum(queue.depth for queue in waiting)} steps ready, all of them served", ""


def _consistency(patient: Patient) -> Iterator[Result]:
    violations = patient.call(surface.check_consistency())
    for violation in violations[:SHOWN_VIOLATIONS]:
        where = f"task {violation.task_id}, step {violation.workflow_step_id}"
        yield PROBLEM, f"{violation.violation}: {where}", "keep what led to it, and report it"
    if violations[SHOWN_VIOLATIONS:]:
        yield PROBLEM, f"{len(violations) - SHOWN_VIOLATIONS} more broken rules", ""
    if not violations:
        yield OK, "state, queue and counters agree with the log", ""


SERVER: tuple[tuple[str, Check], ...] = (
    ("server", _server),
    ("notifications", _notifications),
    ("autovacuum", _autovacuum),
    ("transactions", _transactions),
    ("prepared transactions", _prepared),
    ("replication slots", _slots),
    ("clocks", _clocks),
)
INSTALL: tuple[tuple[str, Check], ...] = (
    ("code", _code),
    ("privileges", _privileges),
    ("runners", _runners),
    ("queues", _queues),
    ("consistency", _consistency),
)
