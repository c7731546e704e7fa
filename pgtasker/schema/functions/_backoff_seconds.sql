-- _backoff_seconds: the pause after the n-th failure: uniform in [base * factor^(n-1),
-- base * factor^n], at most max; without jitter the upper bound.

create function _backoff_seconds(step named_steps, failures integer)
returns double precision
language sql
volatile
return (
    select least(
        step.backoff_max,
        case
            when step.backoff_jitter then bound.lower + random() * (bound.upper - bound.lower)
            else bound.upper
        end
    )
    from (
        select
            step.backoff_base * power(step.backoff_factor, least(failures - 1, 90)) as lower,
            step.backoff_base * power(step.backoff_factor, least(failures, 90)) as upper
    ) bound
);

comment on function _backoff_seconds(named_steps, integer) is
    'Seconds to wait after the n-th failure of a step in its round.';
