"""Any number of claimers that cost the machine next to nothing: pgbench calls `advance_json`.

Responsible for runners that complete what they claimed in the call that claims the next. The
outcomes are made of the claimed steps by the statement itself, pgbench only hands them back.
"""

from __future__ import annotations

import json

from bench import engine
from bench.drivers import creating

SCRIPT = """
\\set runner_id :first_runner_id + :client_id
select coalesce(
    jsonb_agg(
        jsonb_build_object(
            'workflow_step_id', step -> 'workflow_step_id',
            'claim_id', step -> 'claim_id',
            'outcome', 'complete',
            'results', '{results}'::jsonb
        )
    ),
    '[]'
) as outcomes
from advance_json(:runner_id::bigint, :outcomes::jsonb, :batch::int) advanced
left join lateral json_array_elements(advanced.claimed::json) step on true
where step is not null
\\gset
"""
WARM_UP = 2  # seconds: a new connection plans what it executes, some 16 ms for each
STEPS = """
    select count(*) / extract(epoch from max(created_at) - min(created_at))::float8
    from workflow_step_transitions
    where to_state = 'complete' and created_at > %s + make_interval(secs => %s)
"""


def steps_per_second(dsn: str, claimers: int, batch: int, seconds: float) -> float:
    """Steps completed a second by so many connections, once they are warm; there must be work for
    all of them."""
    with engine.connect(dsn) as conn:
        runner_ids = [engine.register_runner(conn) for _ in range(claimers)]
        began = engine.value(conn, "select clock()")
        creating.pgbench(
            dsn,
            SCRIPT.replace("{results}", json.dumps(engine.RESULTS)),
            clients=claimers,
            seconds=WARM_UP + seconds,
            variables={"first_runner_id": runner_ids[0], "batch": batch, "outcomes": "[]"},
        )
        rate = float(engine.value(conn, STEPS, began, WARM_UP))
        if not engine.value(conn, "select exists (select from step_queue)"):
            raise LookupError("there was not enough work")
        conn.execute(
            "select count(deregister_runner(id)) from unnest(%s::bigint[]) id", [runner_ids]
        )
    return rate
