-- _check_bypass: only a step that is declared skippable can be bypassed.

create function _check_bypass(workflow named_tasks, bypass_steps text[])
returns void
language plpgsql
stable
set search_path from current
set enable_seqscan = off
as $$
declare
    v_unknown text;
    v_fixed text;
begin
    perform _require('bypass_steps', bypass_steps is not null);
    if bypass_steps = '{}' then
        return;
    end if;
    select
        string_agg(coalesce(bypass.name, 'null'), ', ') filter (where step.name is null),
        string_agg(step.name, ', ') filter (where not step.skippable)
    into v_unknown, v_fixed
    from unnest(bypass_steps) as bypass (name)
    left join named_steps step
        on step.named_task_id = workflow.named_task_id
        and step.revision = workflow.revision
        and step.name = bypass.name;
    if v_unknown is not null then
        perform _refuse(
            format('workflow %s/%s has no step %s', workflow.namespace, workflow.name, v_unknown),
            format(
                'Its steps are %s.',
                (
                    select string_agg(step.name, ', ' order by step.position)
                    from named_steps step
                    where step.named_task_id = workflow.named_task_id
                        and step.revision = workflow.revision
                )
            ),
            'Correct bypass_steps.',
            'TK003'
        );
    end if;
    if v_fixed is not null then
        perform _refuse(
            format('step %s is not skippable', v_fixed),
            'Only a step that its workflow declares skippable can be bypassed.',
            'Leave it out of bypass_steps, or register the workflow with "skippable": true on it.'
        );
    end if;
end;
$$;

comment on function _check_bypass(named_tasks, text[]) is
    'Refuse to bypass a step that is unknown or not skippable.';
