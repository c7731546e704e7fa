-- _other_property_problems: the schemas of properties that are not named one by one, and of names,
-- on many values at once.

create function _other_property_problems(root jsonb, schema jsonb, given jsonb[], depth integer)
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    with rule (schema, lead, pattern, is_rest) as (
        select patterned.value, '', _schema_pattern(patterned.key), false
        from jsonb_each(_other_property_problems.schema -> 'patternProperties') as patterned
        union all
        select _other_property_problems.schema -> 'additionalProperties', '', null, true
        union all
        select _other_property_problems.schema -> 'propertyNames', 'as a name ', null, false
    )
    select
        part.places[found.place]::integer,
        _path_part(part.names[found.place]) || found.path,
        rule.lead || found.message
    from rule
    cross join lateral (
        select
            array_agg(item.place) as places,
            array_agg(member.key) as names,
            array_agg(
                case rule.lead when '' then member.value else to_jsonb(member.key) end
            ) as given
        from unnest(_other_property_problems.given) with ordinality as item (value, place)
        cross join lateral jsonb_each(
            case
                when jsonb_typeof(item.value) <> 'object' then '{}'
                when rule.is_rest then item.value - array(
                    select jsonb_object_keys(_other_property_problems.schema -> 'properties')
                )
                else item.value
            end
        ) as member
        where coalesce(member.key collate "C" ~ rule.pattern, true)
            and not (
                rule.is_rest
                and exists (
                    select
                    from rule other
                    where member.key collate "C" ~ other.pattern
                )
            )
    ) part
    cross join lateral _schema_problems(
        _other_property_problems.root,
        rule.schema,
        part.given,
        _other_property_problems.depth + 1
    ) as found
    where rule.schema is not null;
end;

comment on function _other_property_problems(jsonb, jsonb, jsonb[], integer) is
    'What is wrong with properties that a schema knows by pattern or not at all, and with names.';
