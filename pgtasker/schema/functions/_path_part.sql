-- _path_part: what a key adds to the path of a value: .name, or ["odd name"].

create function _path_part(key text)
returns text
language sql
stable
return case
    when key collate "C" ~ '^[A-Za-z_][A-Za-z0-9_]{0,99}$' then '.' || key
    else format('[%s]', to_json(left(key, 100)))
end;

comment on function _path_part(text) is
    'A key as a part of a path such as context.customer.email.';
