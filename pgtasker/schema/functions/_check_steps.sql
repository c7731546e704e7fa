-- _check_steps: steps against the log and the edges; entities without their other half.

create function _check_steps()
returns table (violation text, task_id bigint, workflow_step_id bigint, details jsonb)
language sql
stable
begin atomic
    with waits as (
        -- All of them at once: counted for each step, they would cost a look at the whole log each
        -- time where nothing was ever analyzed.
        select
            edge.child_step_id,
            count(*) filter (
                where not _step_satisfies_children(coalesce(finish.to_state, 'pending'))
            ) as parents
        from workflow_step_edges edge
        left join workflow_step_transitions finish
            on finish.workflow_step_id = edge.parent_step_id and finish.most_recent
        group by edge.child_step_id
    )
    select broken.violation, step.task_id, step.workflow_step_id, to_jsonb(step)
    from workflow_steps step
    left join workflow_step_transitions latest
        on latest.workflow_step_id = step.workflow_step_id and latest.most_recent
    left join waits on waits.child_step_id = step.workflow_step_id
    cross join lateral (
        values
            (
                'step state is not what the log says',
                step.state <> coalesce(latest.to_state, 'pending')
            ),
            (
                'step counts its transitions wrongly',
                step.transition_count <> coalesce(latest.sort_key, 0)
            ),
            ('step counts its attempts wrongly', step.attempts <> coalesce(latest.attempts, 0)),
            (
                'step is due at another time than the log says',
                step.due_at is distinct from latest.due_at
            ),
            ('step is held under another claim than the log says',
                step.claim_id is distinct from
                case when latest.to_state = 'in_progress' then latest.claim_id end),
            (
                'step counts its parents wrongly',
                step.unsatisfied_parents <> coalesce(waits.parents, 0)
            ),
            ('step ran before its parents', step.state in ('in_progress', 'complete')
                and step.unsatisfied_parents > 0),
            ('step exceeds its retry limit', step.attempts > greatest(1, (
                select named_step.retry_limit
                from named_steps named_step
                where named_step.named_step_id = step.named_step_id
            ))),
            (
                'step has no task',
                not exists (select from tasks task where task.task_id = step.task_id)
            ),
            ('step has no named step', not exists (
                select
                from named_steps named_step
                where named_step.named_step_id = step.named_step_id
            ))
    ) as broken (violation, holds)
    where broken.holds
    union all
    select 'transition without a step', null, log.workflow_step_id, to_jsonb(log)
    from workflow_step_transitions log
    where not exists (
        select from workflow_steps step where step.workflow_step_id = log.workflow_step_id
    )
    union all
    select 'edge without its steps', null, edge.child_step_id, to_jsonb(edge)
    from workflow_step_edges edge
    left join workflow_steps parent on parent.workflow_step_id = edge.parent_step_id
    left join workflow_steps child on child.workflow_step_id = edge.child_step_id
    where parent.task_id is distinct from child.task_id or parent.task_id is null;
end;

comment on function _check_steps() is
    'Disagreements between steps, the log and the edges.';
