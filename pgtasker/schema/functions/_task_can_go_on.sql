-- _task_can_go_on: whether a step of the task runs, could run, or will be retried by itself.

create function _task_can_go_on(task_id bigint)
returns boolean
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
    return exists (
        select
        from workflow_steps step
        where step.task_id = _task_can_go_on.task_id
            and (
                step.state = 'in_progress'
                or (step.state = 'pending' and step.unsatisfied_parents = 0)
                or (step.state = 'error' and step.due_at is not null)
            )
    );
end;
$$;

comment on function _task_can_go_on(bigint) is
    'Whether anything can still happen in a task without a person.';
