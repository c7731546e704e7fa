-- active_step_readiness_statuses: the same for the steps of tasks that are not over.
--
-- Incomplete tasks first, by their partial index: the cost follows the active work, not the
-- history.

create view active_step_readiness_statuses as
select readiness.*
from tasks active
join step_readiness_statuses readiness on readiness.task_id = active.task_id
where not active.complete;

comment on view active_step_readiness_statuses is
    'Steps of unfinished tasks: state, parents, attempts, and whether each could run now.';
