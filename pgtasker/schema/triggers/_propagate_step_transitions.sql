-- _propagate_step_transitions: what follows from transitions of steps: queue rows go and come,
-- finished parents free their children, tasks start, end or fail. Set-based: a batch of a hundred
-- outcomes is a handful of statements. Steps and children are locked by whoever inserted.

create function _propagate_step_transitions()
returns trigger
language plpgsql
volatile
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_freed bigint[];
    v_freed_tasks bigint[];
    v_back bigint[];
    v_started bigint[];
    v_stalled bigint[];
    v_changed bigint[];
    v_delta integer[];
    v_over bigint;
begin
    delete from step_queue waiting
    where waiting.workflow_step_id = any (
        array(
            select entered.workflow_step_id
            from entered
            where entered.from_state <> 'in_progress'
        )
    );

    select
        coalesce(array_agg(freed.workflow_step_id), '{}'),
        coalesce(array_agg(freed.task_id), '{}')
    into v_freed, v_freed_tasks
    from _free_children(
        array(
            select entered.workflow_step_id
            from entered
            where _step_satisfies_children(entered.to_state)
        )
    ) freed;

    select
        array_agg(entered.workflow_step_id) filter (
            where entered.to_state = 'pending'
                or (entered.to_state = 'error' and entered.due_at is not null)
        ),
        array_agg(distinct step.task_id) filter (
            where entered.to_state = 'in_progress' and task.state = 'pending'
        ),
        array_agg(distinct step.task_id) filter (
            where (
                step.processed
                or (entered.to_state = 'error' and entered.due_at is null)
                or (entered.from_state = 'error' and not entered.attempt_counts)
            )
            -- What ran and freed a child leaves a live task alive; what a person finished may
            -- wake a task that was over.
            and (entered.from_state <> 'in_progress' or step.task_id <> all (v_freed_tasks))
        ),
        min(step.task_id) filter (where entered.to_state = 'in_progress' and task.complete)
    into v_back, v_started, v_stalled, v_over
    from entered
    cross join lateral (
        select found.task_id, found.processed
        from workflow_steps found
        where found.workflow_step_id = entered.workflow_step_id
        offset 0
    ) step
    cross join lateral (
        select found.state, found.complete
        from tasks found
        where found.task_id = step.task_id
        offset 0
    ) task;

    if v_over is not null then
        perform _refuse_state('task', v_over, 'run a step of', 'over', 'unfinished');
    end if;
    perform _enqueue(v_freed || v_back);

    select array_agg(change.task_id), array_agg(change.delta)
    into v_changed, v_delta
    from _failure_changes(
        array(
            select entered.workflow_step_id
            from entered
            where entered.from_state = 'error' or entered.to_state in ('error', 'cancelled')
        )
    ) change;

    perform _settle_tasks(
        coalesce(v_started, '{}'),
        coalesce(v_stalled, '{}'),
        coalesce(v_changed, '{}'),
        v_delta
    );
    return null;
end;
$$;

comment on function _propagate_step_transitions() is
    'Queues, children and tasks follow the transitions of steps.';

create trigger d_propagate
after insert on workflow_step_transitions
referencing new table as entered
for each statement
execute function _propagate_step_transitions();

comment on trigger d_propagate on workflow_step_transitions is
    'What follows from transitions of steps.';
