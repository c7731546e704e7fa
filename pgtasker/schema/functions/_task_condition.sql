-- _task_condition: the state of a task as an operator would say it.

create function _task_condition(task tasks)
returns text
language sql
immutable
return task.state || case when task.paused then ' and paused' else '' end;

comment on function _task_condition(tasks) is
    'State of a task in words.';
