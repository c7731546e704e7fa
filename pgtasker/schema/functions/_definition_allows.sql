-- _definition_allows: whether a step may enter a state as far as its definition says: skipped only
-- if it is skippable, pending only while an attempt is left in the round.

create function _definition_allows(named_step_id bigint, to_state text, attempts integer)
returns boolean
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
    return (
        select case to_state
            when 'skipped' then named_step.skippable
            when 'pending' then
                _definition_allows.attempts = 0
                or _definition_allows.attempts < named_step.retry_limit
        end
        from named_steps named_step
        where named_step.named_step_id = _definition_allows.named_step_id
    );
end;
$$;

comment on function _definition_allows(bigint, text, integer) is
    'Whether the definition of a step lets it be skipped, or tried again.';
