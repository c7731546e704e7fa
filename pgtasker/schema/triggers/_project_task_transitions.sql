-- _project_task_transitions: new transitions become the state of their tasks, or the statement is
-- refused. A task is complete only when all its steps are; it is in error only when nothing can go
-- on. Those who wait for a task learn that it came to rest.

create function _project_task_transitions()
returns trigger
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_entered bigint;
    v_projected bigint;
    v_follows boolean;
    v_is_decision boolean;
    v_rested bigint[];
    v_told integer;
begin
    update tasks task
    set
        state = entered.to_state,
        paused = entered.paused,
        transition_count = entered.sort_key
    from entered
    where task.task_id = any (array(select entered.task_id from entered))
        and task.task_id + 0 = entered.task_id
        and task.state = entered.from_state
        and task.transition_count = entered.sort_key - 1
        and entered.most_recent
        and case
            when entered.from_state = entered.to_state then
                not task.complete and entered.paused <> task.paused
            else
                _task_edge_is_legal(entered.from_state, entered.to_state)
                and entered.paused = (task.paused and not _task_is_complete(entered.to_state))
        end;
    get diagnostics v_projected = row_count;
    select
        count(*),
        bool_or(entered.sort_key > 1),
        bool_or(entered.to_state in ('complete', 'error', 'pending')),
        array_agg(entered.task_id) filter (
            where _task_is_at_rest(entered.to_state) and entered.from_state <> entered.to_state
        )
    into v_entered, v_follows, v_is_decision, v_rested
    from entered;
    if v_projected <> v_entered then
        perform _explain_refused_tasks(array(select entered::task_transitions from entered));
    end if;

    if v_follows then
        update task_transitions log
        set most_recent = false
        from entered
        where log.task_id = any (array(select given.task_id from entered given))
            and log.sort_key = any (
                array(select given.sort_key - 1 from entered given where given.sort_key > 1)
            )
            and log.task_id + 0 = entered.task_id
            and log.sort_key + 0 = entered.sort_key - 1;
    end if;
    if v_is_decision then
        -- No `exists`: planned while the tables are empty, it would read all steps from then on.
        perform _refuse(
            format('task %s cannot be %s', entered.task_id, entered.to_state),
            case entered.to_state
                when 'complete' then 'It has steps that are unfinished or failed.'
                when 'pending' then 'It has steps in progress.'
                else 'It has steps that run or can run, or none that failed.'
            end,
            'The engine moves a task when its steps have moved; see get_task_steps.',
            'object_not_in_prerequisite_state'
        )
        from entered
        where entered.to_state in ('complete', 'error', 'pending')
            and entered.from_state <> entered.to_state
            and case entered.to_state
                when 'complete' then (
                    select true
                    from workflow_steps step
                    where step.task_id = entered.task_id and not step.processed
                    limit 1
                )
                when 'pending' then entered.from_state = 'in_progress' and (
                    select true
                    from workflow_steps step
                    where step.task_id = entered.task_id and step.in_process
                    limit 1
                )
                else not _task_is_open(entered.task_id) or _task_can_go_on(entered.task_id)
            end;
    end if;
    if v_rested is not null then
        v_told := _tell_watchers(v_rested);
    end if;
    return null;
end;
$$;

comment on function _project_task_transitions() is
    'Makes new transitions of tasks the state of the tasks, or refuses them.';

create trigger b_project
after insert on task_transitions
referencing new table as entered
for each statement
execute function _project_task_transitions();

comment on trigger b_project on task_transitions is
    'The log is guarded here and projected onto tasks.';
