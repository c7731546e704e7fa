-- purge_tasks: removes finished tasks that came to rest longer ago than the given time; without one
-- those that are kept no longer than their workflow or the setting retention says. maintain does
-- the latter by itself.
--
-- Tasks in error are not finished. What the rollups have not counted yet stays. Waits for nobody.

create function purge_tasks(older_than interval default null, max_tasks integer default 1000)
returns integer
language plpgsql
volatile
set search_path from current
as $$
declare
    v_after bigint := 0;
    v_found bigint[];
    v_purged integer := 0;
begin
    perform _refuse(
        format('older_than must be from 2 hours to 100 years, not %s', purge_tasks.older_than),
        'The analytics of the last hour read the log of what happened in it.',
        'Pass an interval in that range, for example ''30 days''.'
    )
    where purge_tasks.older_than not between interval '2 hours' and interval '100 years';
    if purge_tasks.max_tasks is null or purge_tasks.max_tasks not between 1 and 100000 then
        perform _refuse(
            format(
                'max_tasks must be from 1 to 100000, not %s',
                coalesce(purge_tasks.max_tasks::text, 'null')
            ),
            'It is the number of tasks that are removed in one transaction.',
            'Pass for example 1000, and call again while something is removed.'
        );
    end if;
    perform _roll_up();
    while v_after is not null and v_purged < purge_tasks.max_tasks loop
        select found.task_ids, found.last_task_id
        into v_found, v_after
        from _old_tasks(
            v_after, purge_tasks.older_than, least(1000, purge_tasks.max_tasks - v_purged), 20000
        ) found;
        v_purged := v_purged + _purge(v_found);
    end loop;
    return v_purged;
end;
$$;

comment on function purge_tasks(interval, integer) is
    'Remove finished tasks that are older than a time, with their history; returns how many.';
