-- _fail_unfit: of the given tasks, those whose context does not fit the schema fail for good before
-- an attempt is spent on them: their steps that could run (of step_ids, if given) enter error.
--
-- The caller created the steps or has them locked; then locks the tasks.

create function _fail_unfit(
    schema jsonb,
    task_ids bigint[],
    contexts jsonb[],
    step_ids bigint[] default null
)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan = off
set jit = off
as $$
declare
    v_task_ids bigint[];
    v_errors jsonb[];
begin
    select array_agg(_fail_unfit.task_ids[unfit.place]), array_agg(unfit.error)
    into v_task_ids, v_errors
    from _context_errors(_fail_unfit.schema, _fail_unfit.contexts) unfit;
    if v_task_ids is null then
        return;
    end if;
    insert into workflow_step_transitions (
        workflow_step_id, sort_key, from_state, to_state, attempts, error
    )
    select
        step.workflow_step_id,
        step.transition_count + 1,
        step.state,
        'error',
        step.attempts,
        unfit.error
    from unnest(v_task_ids, v_errors) as unfit (task_id, error)
    cross join lateral (
        select found.*
        from workflow_steps found
        where found.task_id = unfit.task_id
        offset 0
    ) step
    where step.state = 'pending'
        and step.unsatisfied_parents = 0
        and coalesce(step.workflow_step_id = any (_fail_unfit.step_ids), true)
    order by step.workflow_step_id;
end;
$$;

comment on function _fail_unfit(jsonb, bigint[], jsonb[], bigint[]) is
    'Fail the steps that could run of those tasks whose context does not fit a schema.';
