-- Roles: who may do what. The four are named after the schema (pgtasker_client, pgtasker_runner and
-- so on). An install or an upgrade ends by granting this to those of them that exist.
--
-- Tables are granted to nobody: whatever a role changes, it changes by calling a function.
--   client  an application: starts tasks, waits for them and looks
--   runner  a process that executes steps: registers its workflows, claims and reports
--   viewer  a person or a monitoring system: looks at everything and changes nothing
--   admin   an operator: all of it

-- What everything needs
grant execute on function
    clock,
    get_setting
to client, runner, viewer, admin;

-- Looking
grant select on table
    task_list,
    step_readiness_statuses,
    active_step_readiness_statuses,
    recent_step_readiness_statuses,
    task_execution_contexts,
    active_task_execution_contexts,
    recent_task_execution_contexts,
    task_workflow_summaries,
    step_dag_relationships,
    monitoring_metrics
to client, viewer, admin;

grant execute on function
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
    explain_step,
    check_consistency
to client, viewer, admin;

-- Starting tasks, and waiting for them
grant execute on function
    create_task,
    create_tasks,
    watch_task
to client, admin;

-- Executing steps
grant execute on function
    register_workflow,
    register_runner,
    wake_up_channel,
    heartbeat,
    deregister_runner,
    claim_steps,
    extend_step,
    complete_step,
    fail_step,
    release_step,
    advance,
    advance_json,
    maintain
to runner, admin;

-- A runner that drains its queues asks what is left in them
grant execute on function
    list_queues
to client, runner, viewer, admin;

-- Intervening
grant execute on function
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
    purge_tasks,
    set_setting
to admin;
