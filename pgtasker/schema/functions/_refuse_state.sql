-- _refuse_state: the one answer to an operation in a state in which it makes no sense.

create function _refuse_state(noun text, id bigint, verb text, state text, allowed text)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _refuse(
        format('cannot %s %s %s: it is %s', verb, noun, id, state),
        format('To %s a %s it must be %s.', verb, noun, allowed),
        case noun
            when 'step' then 'explain_step says what a step waits for.'
            else 'get_task and get_task_steps show the state of a task and its steps.'
        end,
        'object_not_in_prerequisite_state'
    );
end;
$$;

comment on function _refuse_state(text, bigint, text, text, text) is
    'Refuse an operation in the wrong state.';
