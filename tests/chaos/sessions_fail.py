"""Sessions with settings that make statements fail: timeouts, other isolation levels."""

from __future__ import annotations

import psycopg

from .fleet import Load
from .place import Measured, Place, witness

SETTINGS = {
    "default_transaction_isolation": "serializable",
    "default_transaction_isolation ": "repeatable read",
    "statement_timeout": "30ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "10ms",
}


def tuned_against(place: Place, times: int) -> Measured:
    """Every session of the database has such a setting; three runners meet on the same tasks."""
    server, refusals, tasks = place.shared, set(), 0
    chosen = list(SETTINGS.items())
    place.random.shuffle(chosen)
    for setting, value in chosen[:times]:
        name = server.database()
        dsn = server.dsn(name)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(f"alter database {name} set {setting} = '{value}'")
        with (
            place.fleet(dsn, "--concurrency", "8") as fleet,
            witness(dsn) as seen,
        ):
            seen.conn.execute("set statement_timeout = 0; set lock_timeout = 0")
            seen.conn.execute("set default_transaction_isolation = 'read committed'")
            seen.conn.execute("set idle_in_transaction_session_timeout = 0")
            fleet.start(3)
            fleet.ready()
            with Load(dsn, place.seed, pause=0.01, seconds=0.01, tasks=100) as load:
                load.wait_for(100)
                started = load.stop()
            seen.settle(started)
            tasks += len(started)
            refusals |= {f"{setting}: {each[:5]}" for each in load.refusals}
    told = f"; callers were told {', '.join(sorted(refusals))}" if refusals else ""
    names = ", ".join(f"{setting.strip()} = {value}" for setting, value in chosen[:times])
    return Measured(f"{tasks} tasks under {names}: all complete, nothing lost{told}")
