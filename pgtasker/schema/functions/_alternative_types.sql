-- _alternative_types: the types that alternative schemas allow, in words.

create function _alternative_types(root jsonb, alternatives jsonb)
returns text
language sql
stable
begin atomic
    select coalesce(
        string_agg(type.name, ' or ' order by type.name = 'null', type.place),
        'nothing at all'
    )
    from (
        select type.name, min(alternative.place) as place
        from jsonb_array_elements(alternatives) with ordinality as alternative (value, place)
        cross join lateral jsonb_array_elements_text(_schema_types(root, alternative.value))
            as type (name)
        group by type.name
    ) type;
end;

comment on function _alternative_types(jsonb, jsonb) is
    'The types that alternatives allow, such as string or null.';
