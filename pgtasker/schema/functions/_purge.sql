-- _purge: removes finished tasks with all that belongs to them; returns how many. Those that are
-- locked by somebody else, or not yet counted into the rollups, stay.
--
-- Locks the steps, ascending, then the tasks, and waits for nobody.

create function _purge(task_ids bigint[])
returns integer
language plpgsql
volatile
set search_path from current
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_counted rollup_progress := (select progress from rollup_progress progress);
    v_step_ids bigint[];
    v_task_ids bigint[];
    v_purged integer;
begin
    if _purge.task_ids = '{}' then
        return 0;
    end if;
    v_step_ids := array(
        select step.workflow_step_id
        from workflow_steps step
        where step.task_id = any (_purge.task_ids)
        order by step.workflow_step_id
        for update skip locked
    );
    v_task_ids := array(
        select task.task_id
        from tasks task
        where task.task_id = any (_purge.task_ids)
            and task.complete
            and (task.xact_id < v_counted.next_xact_id or task.created_at < v_counted.begins_at)
        order by task.task_id
        for update skip locked
    );
    -- A following statement: whoever held a lock before may have written since the candidates were
    -- found.
    v_task_ids := array(
        select purged.task_id
        from unnest(v_task_ids) as purged (task_id)
        except all
        (
            select step.task_id
            from workflow_steps step
            where step.task_id = any (v_task_ids)
            except all
            select step.task_id
            from workflow_steps step
            where step.workflow_step_id = any (v_step_ids)
        )
        except all
        select step.task_id
        from workflow_step_transitions log
        join workflow_steps step on step.workflow_step_id = log.workflow_step_id
        where log.workflow_step_id = any (v_step_ids)
            and log.xact_id >= v_counted.next_xact_id
            and log.created_at >= v_counted.begins_at
        except all
        select log.task_id
        from task_transitions log
        where log.task_id = any (v_task_ids)
            and log.xact_id >= v_counted.next_xact_id
            and log.created_at >= v_counted.begins_at
    );
    delete from tasks task where task.task_id = any (v_task_ids);
    get diagnostics v_purged = row_count;
    with purged as (
        delete from workflow_steps step
        where step.task_id = any (v_task_ids)
        returning step.workflow_step_id
    )
    select array_agg(purged.workflow_step_id) into v_step_ids from purged;
    delete from workflow_step_edges edge where edge.parent_step_id = any (v_step_ids);
    delete from workflow_step_transitions log where log.workflow_step_id = any (v_step_ids);
    delete from task_transitions log where log.task_id = any (v_task_ids);
    delete from task_watches watch
    where watch.watch_id = any (
        array(
            select free.watch_id
            from task_watches free
            where free.task_id = any (v_task_ids)
            for update skip locked
        )
    ) and watch.task_id = any (v_task_ids);
    return v_purged;
end;
$$;

comment on function _purge(bigint[]) is
    'Remove finished tasks with their steps, edges and logs; returns how many.';
