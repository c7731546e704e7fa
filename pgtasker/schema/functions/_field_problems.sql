-- _field_problems: checks the fields of one object of a definition against one table of rules.
--
-- Every problem is a sentence of its own, so that one error can list all of them.

create function _field_problems(scope text, label text, fields jsonb)
returns setof text
language sql
immutable
begin atomic
    with rule (scope, name, kind, lowest, highest) as (
        values
            ('workflow', 'namespace', 'string', null::numeric, null::numeric),
            ('workflow', 'name', 'string', null, null),
            ('workflow', 'version', 'string', null, null),
            ('workflow', 'description', 'string', null, null),
            ('workflow', 'context_schema', 'object', null, null),
            ('workflow', 'retention', 'number', 7200, 3153600000),
            ('workflow', 'steps', 'array', null, null),
            ('step', 'name', 'string', null, null),
            ('step', 'description', 'string', null, null),
            ('step', 'depends_on', 'array', null, null),
            ('step', 'handler', 'string', null, null),
            ('step', 'queue', 'string', null, null),
            ('step', 'priority', 'whole number', -1000000000, 1000000000),
            ('step', 'retryable', 'boolean', null, null),
            ('step', 'skippable', 'boolean', null, null),
            ('step', 'retry_limit', 'whole number', 0, 1000000),
            ('step', 'timeout', 'number', 0.001, 1000000000),
            ('step', 'inputs', 'object', null, null),
            ('step', 'backoff', 'object', null, null),
            ('backoff', 'base', 'number', 0, 31536000),
            ('backoff', 'factor', 'number', 1, 1000),
            ('backoff', 'max', 'number', 0, 31536000),
            ('backoff', 'jitter', 'boolean', null, null)
    ),
    field as (
        select
            given.key as name,
            given.value,
            rule.kind,
            rule.lowest,
            rule.highest,
            case
                when jsonb_typeof(given.value) = 'number' then (given.value #>> '{}')::numeric
            end as number
        from jsonb_each(
            case when jsonb_typeof(fields) = 'object' then fields else '{}' end
        ) as given
        left join rule on rule.scope = _field_problems.scope and rule.name = given.key
    )
    select format('%s must be an object, not %s', label, coalesce(left(fields::text, 100), 'null'))
    where fields is null or jsonb_typeof(fields) <> 'object'
    union all
    select case
        when field.kind is null then
            format(
                '%s has the unknown field %s (known: %s)',
                label,
                to_json(field.name),
                (
                    select string_agg(rule.name, ', ')
                    from rule
                    where rule.scope = _field_problems.scope
                )
            )
        when jsonb_typeof(field.value)
            <> case when field.kind = 'whole number' then 'number' else field.kind end
        then
            format(
                '%s: %s must be a %s, not %s',
                label,
                field.name,
                field.kind,
                left(field.value::text, 100)
            )
        when field.number not between field.lowest and field.highest then
            format(
                '%s: %s must be from %s to %s, not %s',
                label,
                field.name,
                field.lowest,
                field.highest,
                field.number
            )
        when field.kind = 'whole number' and field.number <> trunc(field.number) then
            format('%s: %s must be a whole number, not %s', label, field.name, field.number)
        when scope || field.name in (
                'workflownamespace', 'workflowname', 'stepqueue', 'stephandler'
            )
            and (
                length(field.value #>> '{}') not between 1 and 200
                or (field.value #>> '{}') ~ '^[[:space:]]|[/[:cntrl:]]|[[:space:]]$'
            )
        then
            format(
                '%s: %s must be 1 to 200 characters without / and without spaces around it, not %s',
                label,
                field.name,
                left(field.value::text, 250)
            )
        when field.name = 'version' and _version_sort_key(field.value #>> '{}') is null then
            format(
                '%s: version must be a semantic version such as 1.0.0, not %s',
                label,
                left(field.value::text, 100)
            )
    end
    from field
    where jsonb_typeof(field.value) <> 'null' or field.kind is null;
end;

comment on function _field_problems(text, text, jsonb) is
    'What is wrong with the fields of a workflow, a step or a backoff, a sentence each (or null).';
