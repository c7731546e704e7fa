-- wake_up_channel: where a runner LISTENs. The payload means nothing: it is told to look again.

create function wake_up_channel(runner_id bigint)
returns text
language sql
stable
return 'pgtasker_' || (select setting.value from settings setting where setting.name = 'install_id')
    || '_' || wake_up_channel.runner_id;

comment on function wake_up_channel(bigint) is
    'The NOTIFY channel of a runner.';
