-- _schema_types: the types of values that could fit a schema, as far as a look at it tells; null:
-- any. Saves trying alternatives that cannot fit, and complaining about each of them.

create function _schema_types(root jsonb, schema jsonb)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
declare
    v_schema jsonb := schema;
begin
    for hop in 1..20 loop
        if jsonb_typeof(v_schema) <> 'object' then
            return case when v_schema = 'false' then jsonb '[]' end;
        elsif v_schema ? 'type' then
            return '[]'::jsonb || (v_schema -> 'type');
        elsif v_schema ? 'enum' then
            return (
                select coalesce(jsonb_agg(distinct jsonb_typeof(allowed.value)), '[]')
                from jsonb_array_elements(v_schema -> 'enum') as allowed (value)
            );
        elsif v_schema ? 'const' then
            return jsonb_build_array(jsonb_typeof(v_schema -> 'const'));
        elsif v_schema ? '$ref' then
            v_schema := root #> _schema_pointer(v_schema ->> '$ref');
        else
            return null;
        end if;
    end loop;
    return null;
end;
$$;

comment on function _schema_types(jsonb, jsonb) is
    'The types of values that could fit a schema; null: any.';
