-- _report_one: one outcome for one claim; a lost claim is an error here, not a line in a list.

create function _report_one(workflow_step_id bigint, claim_id bigint, outcome jsonb)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_locked integer;
    v_reported record;
begin
    perform _require('workflow_step_id', _report_one.workflow_step_id is not null);
    perform _require('claim_id', _report_one.claim_id is not null);
    v_locked := _lock_steps(
        array[_report_one.workflow_step_id],
        case _report_one.outcome ->> 'outcome'
            when 'complete' then array[_report_one.workflow_step_id]
        end
    );
    v_reported := _report_outcomes(
        jsonb_build_array(
            _report_one.outcome || jsonb_build_object(
                'workflow_step_id', _report_one.workflow_step_id,
                'claim_id', _report_one.claim_id
            )
        ),
        array[_report_one.workflow_step_id],
        null,
        '{}',
        '{}'
    );
    if v_reported.lost <> '{}' then
        perform _refuse_lost_claim(_report_one.workflow_step_id, _report_one.claim_id);
    end if;
end;
$$;

comment on function _report_one(bigint, bigint, jsonb) is
    'Report one outcome; a claim that is not held any more is refused with TK001.';
