-- clock: the engine's only "now".
--
-- Declared stable so that an index on a due time serves "due_at <= clock()", and real time all the
-- same: now() stands still in a transaction that stays open for an hour. PL/pgSQL, because a SQL
-- function that is stable over a volatile body is not inlined and costs more (docs/decisions/0005).

create function clock()
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
begin
    return clock_timestamp();
end;
$$;

comment on function clock() is
    'The time the engine goes by.';
