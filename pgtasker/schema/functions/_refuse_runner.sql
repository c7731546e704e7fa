-- _refuse_runner: TK004, and why.

create function _refuse_runner(runner_id bigint, runner runners)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _refuse(
        format(
            '%s runner %s',
            case when runner.runner_id is null then 'unknown' else 'expired' end,
            coalesce(_refuse_runner.runner_id::text, 'null')
        ),
        case
            when runner.runner_id is null then 'No runner was ever registered under this id.'
            when runner.ended_at is not null then
                format('It ended at %s: %s.', runner.ended_at, runner.end_reason)
            else format('Its lease ended at %s.', runner.lease_expires_at)
        end,
        'Register again with register_runner; what the old id held goes to others.',
        'TK004'
    );
end;
$$;

comment on function _refuse_runner(bigint, runners) is
    'Refuse a runner id that is unknown or expired.';
