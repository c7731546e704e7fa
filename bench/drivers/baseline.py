"""What the machine can do without an engine: a bare table as a queue.

Rows are inserted and deleted again with `skip locked`, a hundred at a time, by two connections: no
graph, no log, no state. Run before and after everything else, it shows a noisy machine.
"""

from __future__ import annotations

from bench import engine
from bench.drivers import creating

TABLE = """
    create table if not exists bare_queue (
        id bigint generated always as identity primary key,
        payload jsonb not null
    )
"""
IN_A_BATCH = 100
SCRIPT = f"""
insert into bare_queue (payload)
select jsonb_build_object('payload', repeat('x', 185)) from generate_series(1, {IN_A_BATCH});
with next as (
    select id from bare_queue order by id limit {IN_A_BATCH} for update skip locked
)
delete from bare_queue using next where bare_queue.id = next.id returning bare_queue.payload;
"""


def rows_per_second(dsn: str, seconds: float) -> float:
    """Rows that were inserted and taken."""
    with engine.connect(dsn) as conn:
        conn.execute(TABLE)
        said = creating.pgbench(dsn, SCRIPT, clients=2, seconds=seconds)
        conn.execute("drop table bare_queue")
    return IN_A_BATCH * creating.transactions_per_second(said)
