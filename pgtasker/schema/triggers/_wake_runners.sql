-- _wake_runners: whoever makes steps ready, or due earlier, tells one sleeping runner of each
-- queue.
--
-- While a runner reports and claims in one call, its own queues are left out: it takes what became
-- ready itself, and wakes the next runner if it could not take all.

create function _wake_runners()
returns trigger
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
begin
    if exists (
        select
        from runners runner
        where runner.waiting_until is not null
    ) then
        perform _wake(array[arrived.queue], arrived.due_at)
        from (
            select entered.queue, min(coalesce(entered.due_at, clock())) as due_at
            from entered
            where entered.due_at is not null
                or entered.queue <> all (
                    coalesce(nullif(current_setting('pgtasker.claiming', true), ''), '{}')::text[]
                )
            group by entered.queue
        ) arrived;
    end if;
    return null;
end;
$$;

comment on function _wake_runners() is
    'Wakes runners for what arrives in the queue.';

create trigger a_wake_on_insert
after insert on step_queue
referencing new table as entered
for each statement
execute function _wake_runners();

comment on trigger a_wake_on_insert on step_queue is
    'Steps that enter the queue wake a runner.';

create trigger a_wake_on_update
after update on step_queue
referencing new table as entered
for each statement
execute function _wake_runners();

comment on trigger a_wake_on_update on step_queue is
    'Steps that come due wake a runner.';
