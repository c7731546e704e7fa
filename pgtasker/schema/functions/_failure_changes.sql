-- _failure_changes: by how much the last transition of each of the steps changed the number of
-- failures of its task.

create function _failure_changes(step_ids bigint[])
returns table (task_id bigint, delta integer)
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    if _failure_changes.step_ids = '{}' then
        return;
    end if;
    return query
    select
        step.task_id,
        sum(
            _failures_after(step.state, step.due_at)
            - coalesce(_failures_after(previous.to_state, previous.due_at), 0)
        )::integer
    from workflow_steps step
    left join lateral (
        select found.to_state, found.due_at
        from workflow_step_transitions found
        where found.workflow_step_id = step.workflow_step_id
            and found.sort_key = step.transition_count - 1
        offset 0
    ) previous on true
    where step.workflow_step_id = any (_failure_changes.step_ids)
    group by step.task_id
    having sum(
        _failures_after(step.state, step.due_at)
        - coalesce(_failures_after(previous.to_state, previous.due_at), 0)
    ) <> 0
    order by step.task_id;
end;
$$;

comment on function _failure_changes(bigint[]) is
    'How the last transitions of steps change the count of failures of their tasks.';
