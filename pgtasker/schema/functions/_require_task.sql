-- _require_task: an id that a reader asks for must exist.

create function _require_task(task_id bigint)
returns void
language plpgsql
stable
set search_path from current
set enable_seqscan = off
as $$
begin
    perform _require('task_id', _require_task.task_id is not null);
    if not exists (select from tasks task where task.task_id = _require_task.task_id) then
        perform _refuse_unknown('task', _require_task.task_id);
    end if;
end;
$$;

comment on function _require_task(bigint) is
    'Refuse a task_id that does not exist.';
