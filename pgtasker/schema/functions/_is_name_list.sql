-- _is_name_list: whether a JSON value is an array of texts, none of them twice.

create function _is_name_list(value jsonb)
returns boolean
language sql
immutable
return jsonb_typeof(value) = 'array' and not exists (
    select
    from jsonb_array_elements(
        case when jsonb_typeof(value) = 'array' then value else '[]' end
    ) as element (value)
    group by element.value
    having count(*) > 1 or jsonb_typeof(element.value) <> 'string'
);

comment on function _is_name_list(jsonb) is
    'Whether a JSON value is an array of different texts.';
