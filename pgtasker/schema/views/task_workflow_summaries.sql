-- task_workflow_summaries: what could be done in each unfinished task, and what holds it back?
--
-- Describes and never prescribes. The steps are looked at once more for their ids, and the shape of
-- the graph comes from the definition: both cost nothing where they are not asked for.

create view task_workflow_summaries as
select
    context.task_id,
    context.named_task_id,
    context.status,
    context.total_steps,
    context.pending_steps,
    context.in_progress_steps,
    context.completed_steps,
    context.failed_steps,
    context.ready_steps,
    context.execution_status,
    context.recommended_action,
    context.completion_percentage,
    context.health_status,
    context.waiting_reason,
    case
        when context.execution_status = 'has_ready_steps' and context.failed_steps = 0
            then 'optimal'
        when context.execution_status = 'has_ready_steps' then 'recovering'
        when context.execution_status = 'processing' then 'processing'
        when context.execution_status = 'blocked_by_failures' then 'blocked'
        else 'waiting'
    end as workflow_efficiency,
    case
        when context.ready_steps > 5 then 'high_parallelism'
        when context.ready_steps > 1 then 'moderate_parallelism'
        when context.ready_steps = 1 then 'sequential_only'
        else 'no_ready_work'
    end as parallelism_potential,
    shape.max_dependency_depth,
    shape.parallel_branches,
    steps.root_step_ids,
    steps.ready_step_ids,
    steps.blocked_step_ids,
    steps.blocking_reasons
from (
    select at_work.*
    from _task_execution at_work
    where not at_work.complete and at_work.failures = 0
    union all
    select failing.*
    from _task_execution failing
    where not failing.complete and failing.failures > 0
) context
left join lateral (
    select
        max(level.dependency_level) as max_dependency_depth,
        max(level.steps)::integer as parallel_branches
    from (
        select named_step.dependency_level, count(*) as steps
        from workflow_steps step
        join named_steps named_step on named_step.named_step_id = step.named_step_id
        where step.task_id = context.task_id
        group by named_step.dependency_level
    ) level
) shape on true
left join lateral (
    select
        coalesce(
            array_agg(step.workflow_step_id order by step.workflow_step_id)
                filter (where step.total_parents = 0),
            '{}'
        ) as root_step_ids,
        coalesce(
            array_agg(step.workflow_step_id order by step.workflow_step_id)
                filter (where step.is_ready),
            '{}'
        ) as ready_step_ids,
        coalesce(
            array_agg(step.workflow_step_id order by step.workflow_step_id)
                filter (where step.is_blocked),
            '{}'
        ) as blocked_step_ids,
        coalesce(
            array_agg(
                case
                    when not step.dependencies_satisfied then 'dependencies_not_satisfied'
                    when not step.retry_eligible then 'retry_not_eligible'
                    when context.paused then 'paused'
                    when step.current_state = 'error' then 'backoff'
                    else 'scheduled'
                end
                order by step.workflow_step_id
            ) filter (where step.is_blocked),
            '{}'
        ) as blocking_reasons
    from (
        select
            found.*,
            found.current_state in ('pending', 'error') and not found.is_ready as is_blocked
        from (
            select
                known.*,
                known.can_run
                    and not context.paused
                    and (context.run_at is null or context.run_at <= (select clock()))
                    and (known.next_retry_at is null or known.next_retry_at <= (select clock()))
                    as is_ready
            from _step_readiness known
            where known.task_id = context.task_id
        ) found
    ) step
) steps on true;

comment on view task_workflow_summaries is
    'Unfinished tasks: which steps are ready, which are blocked and why, and how many could run.';
