"""The install: its version, its code, and the work in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import psycopg
from psycopg import sql

from pgtasker import surface
from pgtasker.doctor.base import OK, PROBLEM, WARNING, Patient, Result
from pgtasker.doctor.rights import advice_of_roles
from pgtasker.errors import NotInstalled, one_line
from pgtasker.installer import installed_version, some
from pgtasker.schema_files import SCHEMA_VERSION, is_newer, objects, understands

SHOWN_VIOLATIONS = 5
PATIENCE = 30  # seconds for reading everything


def installed(patient: Patient) -> Iterator[Result]:
    schema = patient.schema
    try:
        version = _version(patient)
    except psycopg.errors.InsufficientPrivilege as error:
        yield PROBLEM, one_line(error), advice_of_roles(patient)
        return
    if version is None:
        yield PROBLEM, f"nothing is installed in schema {schema!r}", "pgtasker install"
        return
    if is_newer(version):
        advice = "upgrade the package: pip install --upgrade pgtasker"
        [(since,)] = patient.ask(
            "select coalesce(max(value) filter (where name = 'schema_compatible_since'), '') from "
            + sql.Identifier(schema, "settings").as_string(None)
        )
        level = WARNING if understands(version, since or version) else PROBLEM
        yield level, f"version {version} is newer than {SCHEMA_VERSION} of this package", advice
    elif version != SCHEMA_VERSION:
        advice = "pgtasker upgrade"
        yield PROBLEM, f"version {version} is older than {SCHEMA_VERSION} of this package", advice
    else:
        yield OK, f"version {version} in schema {schema!r}", ""


def _version(patient: Patient) -> str | None:
    """As anybody may ask for it; of an install that was moved only its owner is told."""
    try:
        return cast(str, patient.call(surface.get_setting("schema_version")))
    except NotInstalled:
        return installed_version(patient.connection, patient.schema)


def code(patient: Patient) -> Iterator[Result]:
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
        return
    if patient.call(surface.get_setting("made_for_tests")) == "true":
        yield WARNING, "made for tests: any client can move its clock", "use another for real work"
    if not missing:
        yield OK, f"{len(functions)} functions are there, and find the schema", ""


def runners(patient: Patient) -> Iterator[Result]:
    runners = patient.call(surface.list_runners())
    live = [runner for runner in runners if runner.state == "live"]
    lost = [runner for runner in runners if runner.state == "lost" and runner.held_steps]
    if lost:
        names = some([f"{runner.name} ({runner.held_steps} steps)" for runner in lost])
        yield WARNING, f"lost with what they hold: {names}", "any runner takes that over: start one"
    yield OK, f"{len(live)} live, with {sum(runner.held_steps for runner in live)} steps", ""


def locks(patient: Patient) -> Iterator[Result]:
    """A runner whose session lock is its own is missed within seconds, others after a lease."""
    table = sql.Identifier(patient.schema, "runners").as_string(None)
    rows = patient.ask(
        f"select name from {table}"
        " where ended_at is null and (lock_pid is null or not lock_trusted) order by runner_id"
    )
    if rows:
        text = f"the lease alone decides about {some([name for (name,) in rows])}"
        advice = "let these runners connect without a pooler, if their loss is to be noticed sooner"
        yield WARNING, text, advice
    else:
        yield OK, "every live runner holds its own", ""


def queues(patient: Patient) -> Iterator[Result]:
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


def consistency(patient: Patient) -> Iterator[Result]:
    try:
        with patient.connection.transaction():
            patient.connection.execute(f"set local statement_timeout = '{PATIENCE}s'".encode())
            violations = patient.call(surface.check_consistency())
    except psycopg.errors.QueryCanceled:
        text = f"not known: there is too much to read in {PATIENCE} s"
        advice = f"select * from {patient.schema}.check_consistency() says it, when there is time"
        yield WARNING, text, advice
        return
    for violation in violations[:SHOWN_VIOLATIONS]:
        where = f"task {violation.task_id}, step {violation.workflow_step_id}"
        yield PROBLEM, f"{violation.violation}: {where}", "keep what led to it, and report it"
    if violations[SHOWN_VIOLATIONS:]:
        yield PROBLEM, f"{len(violations) - SHOWN_VIOLATIONS} more broken rules", ""
    if not violations:
        yield OK, "state, queue and counters agree with the log", ""
