-- Grants: a function is executable by everyone when it is created; the internal ones are for the
-- engine alone, the public ones for the roles of roles.sql.

revoke execute on function
    _refuse,
    _require,
    _setting_interval,
    _task_is_complete,
    _task_is_at_rest,
    _step_is_processed,
    _step_is_in_process,
    _step_satisfies_children,
    _task_edge_is_legal,
    _step_edge_is_legal,
    _attempts_after,
    _failures_after,
    _refuse_unknown,
    _refuse_state,
    _refuse_runner,
    _refuse_lost_claim,
    _refuse_used_claims,
    _explain_refused_steps,
    _explain_refused_tasks,
    _check_payload,
    _check_context,
    _check_delay,
    _check_max_steps,
    _require_task,
    _lock_steps,
    _lock_step,
    _lock_task,
    _lock_step_of_open_task,
    _enqueue,
    _wake,
    _runner_lock_key,
    _lease_is_over,
    _require_runner,
    _task_is_open,
    _task_can_go_on,
    _task_condition,
    _move_tasks,
    _settle_tasks,
    _failure_changes,
    _follow_step_changes,
    _tell_watchers,
    _fill_step_transition,
    _project_step_transitions,
    _definition_allows,
    _pass_over,
    _hold_claims,
    _drop_ended_claims,
    _drop_reported_claims,
    _fill_task_transition,
    _project_task_transitions,
    _propagate_task_transitions,
    _refuse_log_change,
    _wake_runners,
    _path_part,
    _is_of_type,
    _schema_pattern,
    _schema_pointer,
    _schema_types,
    _alternative_types,
    _schema_problems,
    _type_problems,
    _enum_problems,
    _number_problems,
    _text_problems,
    _size_problems,
    _missing_problems,
    _property_problems,
    _other_property_problems,
    _item_problems,
    _contains_problems,
    _further_problems,
    _excluded_problems,
    _condition_problems,
    _trial_problems,
    _choice_problems,
    _context_errors,
    _version_sort_key,
    _field_problems,
    _topological_order,
    _dependency_levels,
    _definition_steps,
    _definition_edges,
    _edge_problems,
    _cycle_problem,
    _subschemas,
    _schema_places,
    _is_name_list,
    _is_pattern,
    _keyword_problems,
    _reference_problems,
    _context_schema_problems,
    _check_definition,
    _known_version,
    _store_steps,
    _store_workflow,
    _find_workflow,
    _check_bypass,
    _create_steps,
    _keyed_tasks,
    _is_unfit,
    _fail_unfit,
    _create_tasks,
    _check_context_again,
    _set_queue_paused,
    _give_back,
    _next_due,
    _live_heads,
    _look_at_queues,
    _missed_heads,
    _leave_busy_tasks,
    _drop_stale_rows,
    _ready_heads,
    _take_steps,
    _highest_priority,
    _lock_reported,
    _keep_freed,
    _promote_due,
    _steps_to_start,
    _begun,
    _start_attempts,
    _mark_waiting,
    _claimed_steps,
    _refresh_queue,
    _claim,
    _backoff_seconds,
    _retry_delay,
    _report_outcomes,
    _report_one,
    _is_id,
    _is_delay,
    _outcome_problem,
    _refuse_outcomes,
    _check_outcomes,
    _distinct_outcomes,
    _bounded_outcomes,
    _suspect_runners,
    _expire_runners,
    _renew_timeouts,
    _expire_attempts,
    _end_watches,
    _seconds_bin,
    _bin_seconds,
    _ended_attempts,
    _task_events,
    _facts,
    _bucket_of,
    _count_facts,
    _merge_a_day,
    _rollup_days,
    _roll_up,
    _old_tasks,
    _purge,
    _purge_due,
    _next_maintenance,
    _analysis_is_exact,
    _analysis_start,
    _measures,
    _totals,
    _slowest,
    _runner_counts,
    _explain_state,
    _explain_parents,
    _explain_waiting,
    _check_log,
    _check_steps,
    _derived_readiness,
    _check_queue,
    _check_readiness,
    _check_claims,
    _check_tasks
from public;

revoke execute on function
    clock,
    get_setting,
    set_setting,
    wake_up_channel,
    register_workflow,
    create_task,
    create_tasks,
    cancel_task,
    pause_task,
    resume_task,
    retry_task,
    resolve_task,
    retry_step,
    resolve_step,
    skip_step,
    pause_queue,
    resume_queue,
    register_runner,
    heartbeat,
    deregister_runner,
    extend_step,
    claim_steps,
    complete_step,
    fail_step,
    release_step,
    advance,
    advance_json,
    maintain,
    purge_tasks,
    watch_task,
    get_task,
    get_task_steps,
    get_task_history,
    get_step_readiness_status,
    get_step_readiness_status_batch,
    get_task_execution_context,
    get_task_execution_context_batch,
    calculate_dependency_levels,
    get_step_transitive_dependencies,
    get_critical_path,
    get_analytics_metrics,
    get_step_statistics,
    get_task_statistics,
    get_slowest_steps,
    get_slowest_tasks,
    get_system_health_counts,
    list_runners,
    list_queues,
    explain_step,
    check_consistency
from public;

-- Entry points: nobody else may touch a table, so each runs with the rights of the owner, and under
-- its own search_path whatever the caller's is. clock() touches none.

alter function get_setting security definer;
alter function set_setting security definer;
alter function wake_up_channel security definer set search_path from current;
alter function register_workflow security definer;
alter function create_task security definer;
alter function create_tasks security definer;
alter function cancel_task security definer;
alter function pause_task security definer;
alter function resume_task security definer;
alter function retry_task security definer;
alter function resolve_task security definer;
alter function retry_step security definer;
alter function resolve_step security definer;
alter function skip_step security definer;
alter function pause_queue security definer;
alter function resume_queue security definer;
alter function register_runner security definer;
alter function heartbeat security definer;
alter function deregister_runner security definer;
alter function extend_step security definer;
alter function claim_steps security definer;
alter function complete_step security definer;
alter function fail_step security definer;
alter function release_step security definer;
alter function advance security definer;
alter function advance_json security definer;
alter function maintain security definer;
alter function purge_tasks security definer;
alter function watch_task security definer;
alter function get_task security definer;
alter function get_task_steps security definer;
alter function get_task_history security definer;
alter function get_step_readiness_status security definer;
alter function get_step_readiness_status_batch security definer;
alter function get_task_execution_context security definer;
alter function get_task_execution_context_batch security definer;
alter function calculate_dependency_levels security definer;
alter function get_step_transitive_dependencies security definer;
alter function get_critical_path security definer;
alter function get_analytics_metrics security definer;
alter function get_step_statistics security definer;
alter function get_task_statistics security definer;
alter function get_slowest_steps security definer;
alter function get_slowest_tasks security definer;
alter function get_system_health_counts security definer;
alter function list_runners security definer;
alter function list_queues security definer;
alter function explain_step security definer;
alter function check_consistency security definer set search_path from current;
