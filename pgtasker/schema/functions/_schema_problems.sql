-- _schema_problems: what is wrong with values by a JSON Schema (2020-12); no rows: all fit. place
-- says which of the given values, path leads from there to the problem, and root is the document
-- that a $ref points into. Walks the schema once and not for each value: a thousand cost little
-- more than ten. Keywords that only annotate are passed over, format too.

create function _schema_problems(root jsonb, schema jsonb, given jsonb[], depth integer)
returns table (place integer, path text, message text)
language plpgsql
stable
set search_path from current
as $$
begin
    if coalesce(cardinality(given), 0) = 0 or schema in ('true', '{}') then
        return;
    end if;
    if schema = 'false' or depth > 200 then
        return query
        select
            item.place::integer,
            '',
            case
                when schema = 'false' then 'is not allowed'
                else 'is nested too deep for its schema'
            end
        from unnest(given) with ordinality as item (value, place);
        return;
    end if;
    if schema ? 'type' then
        return query select * from _type_problems(schema, given);
    end if;
    if schema ?| '{enum,const}' then
        return query select * from _enum_problems(schema, given);
    end if;
    if schema ?| '{minimum,exclusiveMinimum,maximum,exclusiveMaximum,multipleOf}' then
        return query select * from _number_problems(schema, given);
    end if;
    if schema ?| '{minLength,maxLength,pattern}' then
        return query select * from _text_problems(schema, given);
    end if;
    if schema ?| '{minItems,maxItems,uniqueItems,minProperties,maxProperties}' then
        return query select * from _size_problems(schema, given);
    end if;
    if schema ?| '{required,dependentRequired}' then
        return query select * from _missing_problems(schema, given);
    end if;
    if schema ? 'properties' then
        return query select * from _property_problems(root, schema, given, depth);
    end if;
    if schema ?| '{patternProperties,additionalProperties,propertyNames}' then
        return query select * from _other_property_problems(root, schema, given, depth);
    end if;
    if schema ?| '{prefixItems,items}' then
        return query select * from _item_problems(root, schema, given, depth);
    end if;
    if schema ? 'contains' then
        return query select * from _contains_problems(root, schema, given, depth);
    end if;
    if schema ?| '{$ref,allOf,dependentSchemas}' then
        return query select * from _further_problems(root, schema, given, depth);
    end if;
    if schema ? 'not' then
        return query select * from _excluded_problems(root, schema, given, depth);
    end if;
    if schema ? 'if' then
        return query select * from _condition_problems(root, schema, given, depth);
    end if;
    if schema ? 'anyOf' then
        return query select * from _choice_problems(root, schema, 'anyOf', given, depth);
    end if;
    if schema ? 'oneOf' then
        return query select * from _choice_problems(root, schema, 'oneOf', given, depth);
    end if;
end;
$$;

comment on function _schema_problems(jsonb, jsonb, jsonb[], integer) is
    'What is wrong with values by a JSON Schema, and where.';
