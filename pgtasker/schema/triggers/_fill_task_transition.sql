-- _fill_task_transition: a transition typed by hand, or by an operator's function, names the task
-- and its new state; the rest is filled in here, under the locks of a whole-task operation.

create function _fill_task_transition()
returns trigger
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    v_task tasks := _lock_task(new.task_id);
begin
    new.from_state := coalesce(new.from_state, v_task.state);
    new.sort_key := coalesce(new.sort_key, v_task.transition_count + 1);
    new.paused := coalesce(
        new.paused,
        case
            when new.from_state = new.to_state then not v_task.paused
            else v_task.paused and not _task_is_complete(new.to_state)
        end
    );
    new.actor := coalesce(new.actor, session_user);
    if exists (
        select
        from task_transitions taken
        where taken.task_id = new.task_id and taken.sort_key = new.sort_key
    ) then
        perform _explain_refused_tasks(array[new]);
    end if;
    return new;
end;
$$;

comment on function _fill_task_transition() is
    'Completes a transition of a task that was typed by hand.';

create trigger a_fill
before insert on task_transitions
for each row
when (new.sort_key is null or new.from_state is null or new.paused is null)
execute function _fill_task_transition();

comment on trigger a_fill on task_transitions is
    'A transition typed by hand is completed under the locks that the engine takes.';
