-- movable_clock: replaces clock() in an install made for tests. The session setting pgtasker.clock
-- is the time, where it is set; a production install does not have this, or any client could expire
-- every lease.

create or replace function clock()
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
begin
    return coalesce(
        nullif(current_setting('pgtasker.clock', true), '')::timestamptz,
        clock_timestamp()
    );
end;
$$;

comment on function clock() is
    'The time the engine goes by; in this install made for tests, the setting pgtasker.clock '
    'moves it.';
