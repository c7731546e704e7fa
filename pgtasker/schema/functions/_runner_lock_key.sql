-- _runner_lock_key: the session advisory lock of a runner: this install in the upper half.

create function _runner_lock_key(runner_id bigint)
returns bigint
language sql
stable
return (
    select (setting.value::bigint << 32) | (_runner_lock_key.runner_id & 4294967295)
    from settings setting
    where setting.name = 'install_id'
);

comment on function _runner_lock_key(bigint) is
    'The key of the advisory lock that a live runner holds.';
