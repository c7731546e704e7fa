"""Dead rows: who keeps them from being removed, and what becomes of the tables meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pgtasker.doctor.base import OK, PROBLEM, WARNING, Patient, Result
from pgtasker.installer import some

OLD_TRANSACTION = timedelta(minutes=5)
HELD_BACK = 1_000_000  # transactions that a slot or a standby lags behind
MANY_DEAD = 50_000  # rows
NEAR_THE_END = 1_000_000_000  # transactions of about 2,100,000,000; autovacuum acts at 200,000,000


def transactions(patient: Patient) -> Iterator[Result]:
    """Those of other databases keep no rows here, but the rollups count nothing beyond them."""
    rows = patient.ask(
        """
        select
            format('process %%s (%%s)', pid, concat_ws(', ', usename, application_name, state)),
            xact_start,
            datname = current_database()
        from pg_stat_activity
        where (datname = current_database() or backend_xid is not null)
        and pid <> pg_backend_pid()
        and xact_start < clock_timestamp() - %s
        order by datname = current_database() desc, xact_start
        """,
        OLD_TRANSACTION,
    )
    if not rows:
        yield OK, "none is open for long", ""
    for who, since, here in rows[:1]:
        more = f", and {len(rows) - 1} more" if rows[1:] else ""
        where = "" if here else " in another database"
        text = f"{who} has one open since {since.astimezone():%Y-%m-%d %H:%M:%S}{where}{more}"
        harm = "no dead row can be removed, and " if here else ""
        yield WARNING, text, f"commit or end it: meanwhile {harm}what happens is not counted"


def prepared(patient: Patient) -> Iterator[Result]:
    rows = patient.ask("select gid from pg_prepared_xacts order by prepared")
    if rows:
        advice = "commit prepared or rollback prepared: they hold locks and dead rows for ever"
        yield WARNING, f"waiting: {some([str(gid) for (gid,) in rows])}", advice
    else:
        yield OK, "none", ""


def slots(patient: Patient) -> Iterator[Result]:
    rows = patient.ask(
        """
        select
            slot_name::text,
            active,
            wal_status is not distinct from 'lost',
            greatest(age(xmin), age(catalog_xmin), 0),
            coalesce(pg_size_pretty(
                case when not pg_is_in_recovery()
                    then pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)
                end
            ), 'unknown')
        from pg_replication_slots
        order by slot_name
        """
    )
    unused = [f"{name} ({kept} of WAL)" for name, active, lost, _, kept in rows if not active]
    late = [f"{name} (by {age} transactions)" for name, _, _, age, _ in rows if age > HELD_BACK]
    lost = [name for name, _, lost, _, _ in rows if lost]
    if unused:
        advice = "start their consumers, or drop them: they keep WAL until the disk is full"
        yield WARNING, f"not in use: {some(unused)}", advice
    if late:
        advice = "let their consumers catch up, or drop them: no dead row is removed meanwhile"
        yield WARNING, f"far behind: {some(late)}", advice
    if lost:
        yield WARNING, f"lost: {some(lost)}", "build their consumers anew, and drop them"
    if not (unused or late or lost):
        yield OK, "none is unused or behind", ""


def standbys(patient: Patient) -> Iterator[Result]:
    """With hot_standby_feedback the queries of a standby keep the rows that they may see."""
    rows = patient.ask(
        """
        select concat_ws(' ', application_name, client_addr), age(backend_xmin)
        from pg_stat_replication
        where backend_xmin is not null
        order by age(backend_xmin) desc
        """
    )
    late = [f"{name} (by {age} transactions)" for name, age in rows if age > HELD_BACK]
    if late:
        advice = "end the long queries there, or turn hot_standby_feedback off"
        yield WARNING, f"keep dead rows for their queries: {some(late)}", advice
    else:
        yield OK, "none keeps dead rows for long", ""


def wraparound(patient: Patient) -> Iterator[Result]:
    """Long before the end the server refuses to write."""
    rows = patient.ask(
        "select datname::text, age(datfrozenxid) from pg_database"
        " order by age(datfrozenxid) desc limit 1"
    )
    for name, age in rows:
        text = f"database {name} is {age} transactions from its last freeze"
        if age > NEAR_THE_END:
            advice = "end what holds it back (see above), then vacuum freeze that database"
            yield PROBLEM, text, advice
        else:
            yield OK, text, ""


def dead_rows(patient: Patient) -> Iterator[Result]:
    """Tables of the install in which most of what is read is dead."""
    rows = patient.ask(
        """
        select
            relname::text, n_dead_tup, n_live_tup,
            greatest(last_autovacuum, last_vacuum)
        from pg_stat_user_tables
        where schemaname = %s and n_dead_tup > %s and n_dead_tup > 2 * n_live_tup
        order by n_dead_tup desc
        """,
        patient.schema,
        MANY_DEAD,
    )
    for name, dead, live, vacuumed in rows:
        when = f"{vacuumed.astimezone():%Y-%m-%d %H:%M:%S}" if vacuumed else "never"
        text = f"{name} has {dead} dead rows beside {live}, last vacuum: {when}"
        advice = (
            "end what keeps them (old transactions, slots, standbys); else let autovacuum do more: "
            "autovacuum_vacuum_cost_limit, autovacuum_max_workers"
        )
        yield WARNING, text, advice
    if not rows:
        yield OK, "no table is full of them", ""
