-- _explain_refused_tasks: says which row of a refused statement was wrong, and why.

create function _explain_refused_tasks(entered task_transitions[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan = off
as $$
declare
    v_row task_transitions;
    v_task tasks;
begin
    select given.*
    into v_row
    from unnest(_explain_refused_tasks.entered) as given
    left join tasks task on task.task_id = given.task_id
    order by
        task.state = given.to_state
        and task.transition_count = given.sort_key
        and task.paused = given.paused
    limit 1;
    select task.* into v_task from tasks task where task.task_id = v_row.task_id;
    perform _refuse(
        format(
            'illegal transition of task %s from %s to %s',
            v_row.task_id,
            v_row.from_state,
            v_row.to_state
        ),
        'Refused because: ' || case
            when v_task.task_id is null then 'no such task.'
            when v_row.from_state = v_row.to_state then
                'a transition that keeps the state must pause or resume a task that is not over.'
            when not _task_edge_is_legal(v_row.from_state, v_row.to_state) then
                format('a task cannot go from %s to %s.', v_row.from_state, v_row.to_state)
            when not v_row.most_recent then 'a new transition must be the most recent one.'
            else format(
                'it does not follow from state %s (paused: %s) with sort_key %s, or names the '
                'task twice.',
                v_task.state, v_task.paused, v_task.transition_count
            )
        end,
        'Use cancel_task, pause_task, resume_task, retry_task or resolve_task.',
        'object_not_in_prerequisite_state'
    );
end;
$$;

comment on function _explain_refused_tasks(task_transitions[]) is
    'Raise an error that says why transitions of tasks are not legal.';
