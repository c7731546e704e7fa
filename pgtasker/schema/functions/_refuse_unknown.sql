-- _refuse_unknown: the one answer to an id that names nothing.

create function _refuse_unknown(noun text, id bigint)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _refuse(
        format('unknown %s %s', noun, coalesce(id::text, 'null')),
        format('No %s of this install has the id %s.', noun, coalesce(id::text, 'null')),
        format(
            'Look the id up; the view task_list and get_task_steps show the ids of tasks and steps.'
        ),
        'no_data_found'
    );
end;
$$;

comment on function _refuse_unknown(text, bigint) is
    'Refuse an id that does not exist.';
