-- step_dag_relationships: where does a step stand in the graph of its task? All tasks.

create view step_dag_relationships as
select
    step.workflow_step_id,
    step.task_id,
    step.named_step_id,
    named_step.name,
    parents.parent_step_ids,
    children.child_step_ids,
    cardinality(parents.parent_step_ids) as parent_count,
    cardinality(children.child_step_ids) as child_count,
    parents.parent_step_ids = '{}' as is_root_step,
    children.child_step_ids = '{}' as is_leaf_step,
    named_step.dependency_level
from workflow_steps step
left join named_steps named_step on named_step.named_step_id = step.named_step_id
left join lateral (
    select coalesce(
        array_agg(edge.parent_step_id order by edge.parent_step_id),
        '{}'
    ) as parent_step_ids
    from workflow_step_edges edge
    where edge.child_step_id = step.workflow_step_id
) parents on true
left join lateral (
    select coalesce(
        array_agg(edge.child_step_id order by edge.child_step_id),
        '{}'
    ) as child_step_ids
    from workflow_step_edges edge
    where edge.parent_step_id = step.workflow_step_id
) children on true;

comment on view step_dag_relationships is
    'Every step with its parents and children, and its level: 0 for a root.';
