-- _refuse_log_change: the log is append-only; only most_recent is ever updated, and only retention
-- deletes.

create function _refuse_log_change()
returns trigger
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _refuse(
        format('%s of %s is refused', lower(tg_op), tg_table_name),
        'The log of transitions is append-only.',
        'Insert a new transition instead.',
        'object_not_in_prerequisite_state'
    );
    return null;
end;
$$;

comment on function _refuse_log_change() is
    'Keeps the log append-only.';

create trigger z_append_only
before delete or update of
    task_id, created_at, xact_id, sort_key, paused, from_state, to_state, actor, reason, metadata
on task_transitions
for each statement
execute function _refuse_log_change();

comment on trigger z_append_only on task_transitions is
    'Nothing updates a transition but the flip of most_recent.';

create trigger z_append_only
before delete or update of
    workflow_step_id, created_at, xact_id, runner_id, claim_id, due_at, ready_at, sort_key,
    attempts, attempt_counts, from_state, to_state, backoff_request_seconds, actor, reason,
    results, error, metadata
on workflow_step_transitions
for each statement
execute function _refuse_log_change();

comment on trigger z_append_only on workflow_step_transitions is
    'Nothing updates a transition but the flip of most_recent.';
