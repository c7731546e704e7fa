-- The schema of pgtasker in load order. Run with search_path = <schema>, pg_temp.
--
-- A task is a run of a workflow. What happens to it and to its steps is inserted into a log;
-- triggers guard the log and project it: onto the state of steps and tasks, into the queue where
-- ready steps wait for runners, and back into the log when a task starts, ends or fails. A runner
-- claims steps from the queue, executes them and reports outcomes, which are log rows again.

-- Time and settings
\ir functions/clock.sql
\ir settings.sql
\ir functions/_refuse.sql
\ir functions/_require.sql
\ir functions/get_setting.sql
\ir functions/set_setting.sql
\ir functions/_setting_interval.sql

-- The rules of states and counts
\ir functions/_task_is_complete.sql
\ir functions/_task_is_at_rest.sql
\ir functions/_step_is_processed.sql
\ir functions/_step_is_in_process.sql
\ir functions/_step_satisfies_children.sql
\ir functions/_task_edge_is_legal.sql
\ir functions/_step_edge_is_legal.sql
\ir functions/_attempts_after.sql
\ir functions/_failures_after.sql

-- State
\ir definition.sql
\ir execution.sql
\ir queue.sql
\ir runners.sql
\ir views/_held_claims.sql
\ir watches.sql
\ir rollups.sql
\ir retention.sql

-- Refusals and checks
\ir functions/_refuse_unknown.sql
\ir functions/_refuse_state.sql
\ir functions/_refuse_runner.sql
\ir functions/_refuse_lost_claim.sql
\ir functions/_refuse_used_claims.sql
\ir functions/_explain_refused_steps.sql
\ir functions/_explain_refused_tasks.sql
\ir functions/_check_payload.sql
\ir functions/_check_context.sql
\ir functions/_check_delay.sql
\ir functions/_check_max_steps.sql
\ir functions/_require_task.sql

-- Locks, queue and runners, from inside
\ir functions/_lock_steps.sql
\ir functions/_lock_step.sql
\ir functions/_lock_task.sql
\ir functions/_lock_step_of_open_task.sql
\ir functions/_enqueue.sql
\ir functions/wake_up_channel.sql
\ir functions/_wake.sql
\ir functions/_runner_lock_key.sql
\ir functions/_lease_is_over.sql
\ir functions/_require_runner.sql

-- Tasks follow their steps
\ir functions/_task_is_open.sql
\ir functions/_task_can_go_on.sql
\ir functions/_task_condition.sql
\ir functions/_move_tasks.sql
\ir functions/_settle_tasks.sql
\ir functions/_failure_changes.sql
\ir functions/_follow_step_changes.sql
\ir functions/_tell_watchers.sql

-- What happens by itself
\ir functions/_definition_allows.sql
\ir functions/_pass_over.sql
\ir functions/_hold_claims.sql
\ir functions/_drop_ended_claims.sql
\ir functions/_drop_reported_claims.sql
\ir triggers/_fill_step_transition.sql
\ir triggers/_project_step_transitions.sql
\ir triggers/_fill_task_transition.sql
\ir triggers/_project_task_transitions.sql
\ir triggers/_propagate_task_transitions.sql
\ir triggers/_refuse_log_change.sql
\ir triggers/_wake_runners.sql

-- Values against JSON Schemas
\ir functions/_path_part.sql
\ir functions/_is_of_type.sql
\ir functions/_schema_pattern.sql
\ir functions/_schema_pointer.sql
\ir functions/_schema_types.sql
\ir functions/_alternative_types.sql
\ir functions/_schema_problems.sql
\ir functions/_type_problems.sql
\ir functions/_enum_problems.sql
\ir functions/_number_problems.sql
\ir functions/_text_problems.sql
\ir functions/_size_problems.sql
\ir functions/_missing_problems.sql
\ir functions/_property_problems.sql
\ir functions/_other_property_problems.sql
\ir functions/_item_problems.sql
\ir functions/_contains_problems.sql
\ir functions/_further_problems.sql
\ir functions/_excluded_problems.sql
\ir functions/_condition_problems.sql
\ir functions/_trial_problems.sql
\ir functions/_choice_problems.sql
\ir functions/_context_errors.sql

-- For those who define workflows
\ir functions/_version_sort_key.sql
\ir functions/_field_problems.sql
\ir functions/_topological_order.sql
\ir functions/_dependency_levels.sql
\ir functions/_definition_steps.sql
\ir functions/_definition_edges.sql
\ir functions/_edge_problems.sql
\ir functions/_cycle_problem.sql
\ir functions/_subschemas.sql
\ir functions/_schema_places.sql
\ir functions/_is_name_list.sql
\ir functions/_is_pattern.sql
\ir functions/_keyword_problems.sql
\ir functions/_reference_problems.sql
\ir functions/_context_schema_problems.sql
\ir functions/_check_definition.sql
\ir functions/_known_version.sql
\ir functions/_store_steps.sql
\ir functions/_store_workflow.sql
\ir functions/register_workflow.sql

-- For those who start tasks
\ir functions/_find_workflow.sql
\ir functions/_check_bypass.sql
\ir functions/_create_steps.sql
\ir functions/_keyed_tasks.sql
\ir functions/_is_unfit.sql
\ir functions/_fail_unfit.sql
\ir functions/_create_tasks.sql
\ir functions/create_task.sql
\ir functions/create_tasks.sql

-- For operators
\ir functions/cancel_task.sql
\ir functions/pause_task.sql
\ir functions/resume_task.sql
\ir functions/_check_context_again.sql
\ir functions/retry_task.sql
\ir functions/resolve_task.sql
\ir functions/retry_step.sql
\ir functions/resolve_step.sql
\ir functions/skip_step.sql
\ir functions/_set_queue_paused.sql
\ir functions/pause_queue.sql
\ir functions/resume_queue.sql

-- For runners
\ir functions/register_runner.sql
\ir functions/_give_back.sql
\ir functions/heartbeat.sql
\ir functions/deregister_runner.sql
\ir functions/extend_step.sql
\ir functions/_next_due.sql
\ir functions/_live_heads.sql
\ir functions/_look_at_queues.sql
\ir functions/_missed_heads.sql
\ir functions/_leave_busy_tasks.sql
\ir functions/_drop_stale_rows.sql
\ir functions/_ready_heads.sql
\ir functions/_take_steps.sql
\ir functions/_highest_priority.sql
\ir functions/_lock_reported.sql
\ir functions/_keep_freed.sql
\ir functions/_promote_due.sql
\ir functions/_steps_to_start.sql
\ir functions/_begun.sql
\ir functions/_start_attempts.sql
\ir functions/_mark_waiting.sql
\ir functions/_claimed_steps.sql
\ir functions/_refresh_queue.sql
\ir functions/_claim.sql
\ir functions/claim_steps.sql
\ir functions/_backoff_seconds.sql
\ir functions/_retry_delay.sql
\ir functions/_report_outcomes.sql
\ir functions/_report_one.sql
\ir functions/complete_step.sql
\ir functions/fail_step.sql
\ir functions/release_step.sql
\ir functions/_is_id.sql
\ir functions/_is_delay.sql
\ir functions/_outcome_problem.sql
\ir functions/_refuse_outcomes.sql
\ir functions/_check_outcomes.sql
\ir functions/_distinct_outcomes.sql
\ir functions/_bounded_outcomes.sql
\ir functions/advance_json.sql
\ir functions/advance.sql
\ir functions/_suspect_runners.sql
\ir functions/_expire_runners.sql
\ir functions/_renew_timeouts.sql
\ir functions/_expire_attempts.sql
\ir functions/_end_watches.sql
\ir functions/_seconds_bin.sql
\ir functions/_bin_seconds.sql
\ir functions/_ended_attempts.sql
\ir functions/_task_events.sql
\ir functions/_facts.sql
\ir functions/_bucket_of.sql
\ir functions/_count_facts.sql
\ir functions/_merge_a_day.sql
\ir functions/_rollup_days.sql
\ir functions/_roll_up.sql
\ir functions/_old_tasks.sql
\ir functions/_purge.sql
\ir functions/_purge_due.sql
\ir functions/_next_maintenance.sql
\ir functions/maintain.sql
\ir functions/purge_tasks.sql

-- For those who look
\ir reading.sql
\ir views/task_list.sql
\ir views/_step_readiness.sql
\ir views/_readiness_of_tasks.sql
\ir views/step_readiness_statuses.sql
\ir views/active_step_readiness_statuses.sql
\ir views/recent_step_readiness_statuses.sql
\ir views/_task_execution.sql
\ir views/task_execution_contexts.sql
\ir views/active_task_execution_contexts.sql
\ir views/recent_task_execution_contexts.sql
\ir views/task_workflow_summaries.sql
\ir views/step_dag_relationships.sql
\ir functions/watch_task.sql
\ir functions/get_task.sql
\ir functions/get_task_steps.sql
\ir functions/get_task_history.sql
\ir functions/get_step_readiness_status.sql
\ir functions/get_step_readiness_status_batch.sql
\ir functions/get_task_execution_context.sql
\ir functions/get_task_execution_context_batch.sql
\ir functions/calculate_dependency_levels.sql
\ir functions/get_step_transitive_dependencies.sql
\ir functions/get_critical_path.sql
\ir functions/_analysis_is_exact.sql
\ir functions/_analysis_start.sql
\ir functions/_measures.sql
\ir functions/_totals.sql
\ir functions/_slowest.sql
\ir functions/get_analytics_metrics.sql
\ir functions/get_step_statistics.sql
\ir functions/get_task_statistics.sql
\ir functions/get_slowest_steps.sql
\ir functions/get_slowest_tasks.sql
\ir functions/_runner_counts.sql
\ir functions/get_system_health_counts.sql
\ir views/monitoring_metrics.sql
\ir functions/list_runners.sql
\ir functions/list_queues.sql
\ir functions/_explain_state.sql
\ir functions/_explain_parents.sql
\ir functions/_explain_waiting.sql
\ir functions/explain_step.sql
\ir functions/_check_log.sql
\ir functions/_check_steps.sql
\ir functions/_derived_readiness.sql
\ir functions/_check_queue.sql
\ir functions/_check_readiness.sql
\ir functions/_check_claims.sql
\ir functions/_check_tasks.sql
\ir functions/check_consistency.sql

-- Internal functions are for nobody
\ir grants.sql
