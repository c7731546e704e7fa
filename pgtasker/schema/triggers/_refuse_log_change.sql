-- _refuse_log_change: the log is append-only; only most_recent is ever updated, and a row goes only
-- with its task: retention removes that first. So no mark is needed that somebody could forge.

create function _refuse_log_change()
returns trigger
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
    if tg_op = 'DELETE' and tg_table_name = 'task_transitions' then
        perform
        from removed
        cross join lateral (
            select from tasks task where task.task_id = removed.task_id offset 0
        ) kept
        limit 1;
        if not found then
            return null;
        end if;
    elsif tg_op = 'DELETE' then
        perform
        from removed
        cross join lateral (
            select
            from workflow_steps step
            where step.workflow_step_id = removed.workflow_step_id
            offset 0
        ) kept
        limit 1;
        if not found then
            return null;
        end if;
    end if;
    perform _refuse(
        format('%s of %s is refused', lower(tg_op), tg_table_name),
        'The log of transitions is append-only.',
        'Insert a new transition instead; purge_tasks removes what is over and old.',
        'object_not_in_prerequisite_state'
    );
    return null;
end;
$$;

comment on function _refuse_log_change() is
    'Keeps the log append-only.';

create trigger z_append_only
before update of
    task_id, created_at, xact_id, sort_key, paused, from_state, to_state, actor, reason, metadata
on task_transitions
for each statement
execute function _refuse_log_change();

comment on trigger z_append_only on task_transitions is
    'Nothing updates a transition but the flip of most_recent.';

create trigger z_removed_with_its_task
after delete on task_transitions
referencing old table as removed
for each statement
execute function _refuse_log_change();

comment on trigger z_removed_with_its_task on task_transitions is
    'Nothing removes a transition of a task that exists.';

create trigger z_append_only
before update of
    workflow_step_id, created_at, xact_id, runner_id, claim_id, due_at, ready_at, sort_key,
    attempts, attempt_counts, from_state, to_state, backoff_request_seconds, actor, reason,
    results, error, metadata
on workflow_step_transitions
for each statement
execute function _refuse_log_change();

comment on trigger z_append_only on workflow_step_transitions is
    'Nothing updates a transition but the flip of most_recent.';

create trigger z_removed_with_its_task
after delete on workflow_step_transitions
referencing old table as removed
for each statement
execute function _refuse_log_change();

comment on trigger z_removed_with_its_task on workflow_step_transitions is
    'Nothing removes a transition of a step that exists.';
