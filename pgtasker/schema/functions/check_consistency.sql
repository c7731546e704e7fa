-- check_consistency: every disagreement between the log and what is kept beside it, and every
-- broken invariant. No rows = healthy. Reads everything: for tests and for a doctor.

create function check_consistency()
returns table (violation text, task_id bigint, workflow_step_id bigint, details jsonb)
language sql
stable
begin atomic
    select * from _check_log()
    union all
    select * from _check_steps()
    union all
    select * from _check_queue()
    union all
    select * from _check_readiness()
    union all
    select * from _check_claims()
    union all
    select * from _check_tasks();
end;

comment on function check_consistency() is
    'Every broken invariant; no rows = healthy.';
