-- _keyword_problems: what is wrong with the keywords of one schema, regardless of those within it.
-- A keyword that only annotates may be anything; one that asks for what nothing here checks is
-- refused.

create function _keyword_problems(schema jsonb)
returns setof text
language sql
stable
begin atomic
    with rule (kind, keywords) as (
        values
            ('the name of a type or an array of such names', '{type}'::text[]),
            (
                'a whole number from 0',
                '{minLength,maxLength,minItems,maxItems,minContains,maxContains,minProperties,'
                'maxProperties}'
            ),
            ('a number', '{minimum,maximum,exclusiveMinimum,exclusiveMaximum}'),
            ('a number above 0', '{multipleOf}'),
            ('true or false', '{uniqueItems}'),
            ('an array', '{enum}'),
            ('an array of schemas', '{allOf,anyOf,oneOf,prefixItems}'),
            ('an array of different names', '{required}'),
            ('an object', '{properties,patternProperties,dependentSchemas,$defs,definitions}'),
            ('an object of arrays of different names', '{dependentRequired}'),
            ('a regular expression', '{pattern}'),
            (
                'left out, for nothing checks it',
                '{additionalItems,dependencies,unevaluatedItems,unevaluatedProperties,$dynamicRef,'
                '$recursiveRef}'
            )
    ),
    given as (
        select
            rule.kind,
            keyword.name,
            keyword.value,
            jsonb_typeof(keyword.value) as type,
            case when jsonb_typeof(keyword.value) = 'number' then keyword.value::numeric end
                as number
        from jsonb_each(
            case
                when jsonb_typeof(_keyword_problems.schema) = 'object' then _keyword_problems.schema
            end
        ) as keyword (name, value)
        join rule on keyword.name = any (rule.keywords)
    )
    select format('%s must be %s, not %s', given.name, given.kind, left(given.value::text, 100))
    from given
    where not case given.kind
        when 'the name of a type or an array of such names' then
            _is_name_list('[]'::jsonb || given.value)
            and '["null", "boolean", "object", "array", "number", "string", "integer"]'
                @> given.value
            and given.value <> '[]'
        when 'a whole number from 0' then
            given.type = 'number' and given.number >= 0 and given.number = trunc(given.number)
        when 'a number' then given.type = 'number'
        when 'a number above 0' then given.type = 'number' and given.number > 0
        when 'true or false' then given.type = 'boolean'
        when 'an array' then given.type = 'array'
        when 'an array of schemas' then given.type = 'array' and given.value <> '[]'
        when 'an array of different names' then _is_name_list(given.value)
        when 'an object' then given.type = 'object'
        when 'an object of arrays of different names' then given.type = 'object' and not exists (
            select
            from jsonb_each(case given.type when 'object' then given.value end) as member
            where not _is_name_list(member.value)
        )
        when 'a regular expression' then
            given.type = 'string' and _is_pattern(given.value #>> '{}')
        else false
    end
    union all
    select format(
        'patternProperties must be named by regular expressions, not %s',
        left(to_json(pattern.key)::text, 100)
    )
    from given
    cross join lateral jsonb_object_keys(
        case given.type when 'object' then given.value end
    ) as pattern (key)
    where given.name = 'patternProperties' and not _is_pattern(pattern.key);
end;

comment on function _keyword_problems(jsonb) is
    'What is wrong with the keywords of one schema, a sentence each.';
