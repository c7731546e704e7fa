"""The server: its version, its role, and settings that hurt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pgtasker.doctor.base import OK, PROBLEM, WARNING, Patient, Result
from pgtasker.installer import InstallError, require_server

SHORT_LIFE = timedelta(minutes=1)  # of an idle session; a runner that listens is one
FULL = 0.9  # of max_connections


def version(patient: Patient) -> Iterator[Result]:
    there = patient.connection.info.parameter_status("server_version")
    try:
        require_server(patient.connection)
    except InstallError as error:
        yield PROBLEM, str(error), "upgrade the server"
        return
    if patient.ask("select pg_is_in_recovery()") == [(True,)]:
        advice = "connect to the primary: target_session_attrs=read-write in the DSN finds it"
        yield PROBLEM, f"PostgreSQL {there}, a standby: it accepts no work", advice
    else:
        yield OK, f"PostgreSQL {there}", ""


def autovacuum(patient: Patient) -> Iterator[Result]:
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


def durability(patient: Patient) -> Iterator[Result]:
    """What a crash of the server may cost."""
    found = patient.settings("fsync", "full_page_writes", "synchronous_commit")
    off = [name for name in ("fsync", "full_page_writes") if found[name] == "off"]
    if off:
        advice = f"set {' and '.join(off)} to on, unless this server is for tests"
        yield PROBLEM, f"{' and '.join(off)} off: a crash may destroy everything", advice
    elif found["synchronous_commit"] == "off":
        text = "synchronous_commit is off: a crash may lose the last moment, and nothing else"
        yield OK, text, ""
    else:
        yield OK, "what is committed survives a crash", ""


def sessions(patient: Patient) -> Iterator[Result]:
    """Defaults of this user, or of this database, that get into the way of runners."""
    names = (
        "default_transaction_read_only",
        "default_transaction_isolation",
        "idle_session_timeout",
        "pgtasker.notify",
    )
    found = patient.settings(*names)
    well = True
    if found["default_transaction_read_only"] == "on":
        well = False
        advice = "alter role or alter database ... set default_transaction_read_only = off"
        yield PROBLEM, "transactions are read only: nothing can be started or run", advice
    if found["default_transaction_isolation"] != "read committed":
        well = False
        advice = "alter role ... set default_transaction_isolation = 'read committed'"
        text = f"transactions are {found['default_transaction_isolation']}: many calls will fail"
        yield WARNING, text, advice
    [(life,)] = patient.ask("select current_setting('idle_session_timeout')::interval")
    if timedelta(0) < life < SHORT_LIFE:
        well = False
        advice = "set it to 0 for the user of the runners"
        yield WARNING, f"idle_session_timeout ends sessions that listen after {life}", advice
    if found["pgtasker.notify"] in ("off", "false", "no", "0"):
        well = False
        advice = "set it only in the sessions that need it, such as those of PREPARE TRANSACTION"
        yield WARNING, "pgtasker.notify is off: runners find work only by looking", advice
    if well:
        yield OK, "nothing that gets into the way", ""


def connections(patient: Patient) -> Iterator[Result]:
    """A runner that cannot connect cannot come back."""
    [(used, most)] = patient.ask(
        """
        select
            count(*) filter (where backend_type = 'client backend'),
            current_setting('max_connections')::int
                - current_setting('superuser_reserved_connections')::int
        from pg_stat_activity
        """
    )
    text = f"{used} of {most} in use"
    if used > FULL * most:
        yield WARNING, text, "raise max_connections, or put a pooler before the clients"
    else:
        yield OK, text, ""
