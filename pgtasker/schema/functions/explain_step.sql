-- explain_step: "why is this not running?" in words and data, what matters most first.

create function explain_step(workflow_step_id bigint)
returns table (reason text, explanation text, details jsonb)
language plpgsql
stable
set search_path from current
set enable_seqscan = off
as $$
declare
    v_step workflow_steps;
    v_task tasks;
    v_named named_steps;
    v_found boolean := false;
begin
    perform _require('workflow_step_id', explain_step.workflow_step_id is not null);
    select step.*
    into v_step
    from workflow_steps step
    where step.workflow_step_id = explain_step.workflow_step_id;
    if v_step.workflow_step_id is null then
        perform _refuse_unknown('step', explain_step.workflow_step_id);
    end if;
    select task.* into v_task from tasks task where task.task_id = v_step.task_id;
    select named_step.*
    into v_named
    from named_steps named_step
    where named_step.named_step_id = v_step.named_step_id;

    if v_step.processed or v_step.state = 'in_progress' or (
        v_step.state = 'error' and v_step.due_at is null
    ) then
        return query select * from _explain_state(v_step, v_named);
        v_found := true;
    end if;
    if v_task.complete and not v_step.processed then
        reason := 'task_final';
        explanation := format(
            'Its task %s is %s: no step of it starts any more.',
            v_task.task_id,
            v_task.state
        );
        details := jsonb_build_object('task_id', v_task.task_id, 'task_state', v_task.state);
        return next;
        v_found := true;
    end if;
    if v_found then
        return;
    end if;
    return query select * from _explain_parents(v_step);
    v_found := found;
    return query select * from _explain_waiting(v_step, v_task, v_named, v_found);
end;
$$;

comment on function explain_step(bigint) is
    'Why a step is not running, in words and data.';
