-- _propagate_task_transitions: what follows for the steps of a task: cancelling cancels them,
-- pausing takes them off the queue, resuming puts them back, and a task that goes from error to
-- pending with nothing to run starts a new round of every failed step.
--
-- Steps are looked up task by task: any other way is a scan of all of them, which costs as much
-- while the tables are small, and its plan would outlive that.

create function _propagate_task_transitions()
returns trigger
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
    if not exists (
        select
        from entered
        where entered.to_state in ('pending', 'cancelled', 'resolved_manually')
            or entered.to_state = entered.from_state
    ) then
        return null;
    end if;

    insert into workflow_step_transitions (
        workflow_step_id, created_at, sort_key, from_state, to_state, attempts, attempt_counts,
        due_at, actor, reason
    )
    select
        step.workflow_step_id,
        clock(),
        step.transition_count + 1,
        step.state,
        change.to_state,
        case change.to_state when 'pending' then 0 else step.attempts end,
        change.to_state <> 'pending',
        null,
        entered.actor,
        entered.reason
    from entered
    cross join lateral (
        select found.*
        from workflow_steps found
        where found.task_id = entered.task_id
        offset 0
    ) step
    cross join lateral (
        select case
            when entered.to_state = 'cancelled' and not step.processed then 'cancelled'
            when entered.to_state = 'pending'
                and entered.from_state = 'error'
                and step.state = 'error'
                and not _task_can_go_on(entered.task_id)
                then 'pending'
        end as to_state
    ) change
    where change.to_state is not null
    order by step.workflow_step_id;

    delete from step_queue waiting
    where waiting.workflow_step_id = any (
        array(
            select step.workflow_step_id
            from entered
            cross join lateral (
                select found.workflow_step_id
                from workflow_steps found
                where found.task_id = entered.task_id
                offset 0
            ) step
            where entered.paused or _task_is_complete(entered.to_state)
        )
    );

    perform _enqueue(array_agg(step.workflow_step_id order by step.workflow_step_id))
    from entered
    cross join lateral (
        select found.*
        from workflow_steps found
        where found.task_id = entered.task_id
        offset 0
    ) step
    where entered.to_state = entered.from_state
        and not entered.paused
        and step.state in ('pending', 'error');

    perform _refuse(
        format('task %s has nothing to retry', entered.task_id),
        'None of its steps failed; those that are not over wait for a step that was cancelled.',
        'Resolve the steps that wait, or resolve or cancel the task.',
        'object_not_in_prerequisite_state'
    )
    from entered
    where entered.to_state = 'pending'
        and _task_is_open(entered.task_id)
        and not _task_can_go_on(entered.task_id);
    return null;
end;
$$;

comment on function _propagate_task_transitions() is
    'The steps and queue rows of a task follow its transitions.';

create trigger c_propagate
after insert on task_transitions
referencing new table as entered
for each statement
execute function _propagate_task_transitions();

comment on trigger c_propagate on task_transitions is
    'What follows from transitions of tasks.';
