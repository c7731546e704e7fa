-- _keyed_tasks: the tasks that have the given keys, be they new or not, if their content agrees.

create function _keyed_tasks(
    workflow named_tasks,
    version_given boolean,
    task_ids bigint[],
    contexts jsonb[],
    idempotency_keys text[]
)
returns bigint[]
language plpgsql
volatile
set search_path from current
set enable_seqscan = off
as $$
declare
    v_key text;
    v_task_id bigint;
    v_found bigint[];
begin
    select given.idempotency_key, task.task_id
    into v_key, v_task_id
    from unnest(
        _keyed_tasks.contexts,
        _keyed_tasks.idempotency_keys
    ) as given (context, idempotency_key)
    join tasks task
        on task.idempotency_scope = workflow.family_id
        and task.idempotency_key = given.idempotency_key
    where task.context <> given.context
        or (version_given and task.named_task_id <> workflow.named_task_id)
    limit 1;
    if v_task_id is not null then
        perform _refuse(
            format('idempotency key %s is taken by a task with other content', to_json(v_key)),
            format('task_id %s', v_task_id),
            'Use a new key for new work; the same key needs the same context (and version, if '
            'given).',
            'TK002'
        );
    end if;
    v_found := array(
        select case when given.idempotency_key is null then given.task_id else task.task_id end
        from unnest(_keyed_tasks.task_ids, _keyed_tasks.idempotency_keys) with ordinality
            as given (task_id, idempotency_key, place)
        left join tasks task
            on task.idempotency_scope = workflow.family_id
            and task.idempotency_key = given.idempotency_key
        order by given.place
    );
    v_key := _keyed_tasks.idempotency_keys[array_position(v_found, null)];
    if v_key is not null then
        perform _refuse(
            format('idempotency key %s became free a moment ago', to_json(v_key)),
            'The task that had it was purged meanwhile.',
            'Start it again.',
            'serialization_failure'
        );
    end if;
    return v_found;
end;
$$;

comment on function _keyed_tasks(named_tasks, boolean, bigint[], jsonb[], text[]) is
    'Ids of the tasks with these idempotency keys; other content under a key is refused.';
