"""The SQL surface as Python sees it: one function here for each function there that Python calls.

Responsible for all SQL text in Python that speaks to the engine. Each function builds a `Call`,
which is only data; `execute` and `execute_async` send it. Whose connection that is, when it is
committed and what to do about an error is left to the caller.

This module is the table of contents; the modules beside it are for one kind of caller each, and
`selecting` is what queries (`pgtasker.queries`) send.
"""

from pgtasker.surface.calls import Call, execute, execute_async
from pgtasker.surface.executing import (
    advance,
    complete_step,
    deregister_runner,
    extend_step,
    heartbeat,
    listen,
    maintain,
    queue_outlook,
    register_runner,
    wake_up_channel,
)
from pgtasker.surface.graph import (
    calculate_dependency_levels,
    get_critical_path,
    get_step_transitive_dependencies,
    step_dag_relationships,
)
from pgtasker.surface.insights import (
    get_analytics_metrics,
    get_slowest_steps,
    get_slowest_tasks,
    get_step_statistics,
    get_system_health_counts,
    get_task_statistics,
    monitoring_metrics,
)
from pgtasker.surface.looking import (
    check_consistency,
    explain_step,
    get_step_readiness_status,
    get_step_readiness_status_batch,
    get_task,
    get_task_execution_context,
    get_task_execution_context_batch,
    get_task_history,
    get_task_steps,
    get_tasks,
    list_queues,
    list_runners,
    step_place,
    task_list,
    task_states,
    watch_tasks,
)
from pgtasker.surface.operating import (
    Verb,
    get_setting,
    operate,
    purge_tasks,
    set_setting,
    setting_seconds,
)
from pgtasker.surface.starting import (
    create_task,
    create_tasks,
    register_workflow,
    register_workflows,
)
from pgtasker.surface.testing import clock, outlook, session_clock, set_session_clock

__all__ = [  # noqa: RUF022 - by who calls
    "Call",
    "execute",
    "execute_async",
    # define and start
    "register_workflow",
    "register_workflows",
    "create_task",
    "create_tasks",
    # operate
    "Verb",
    "operate",
    "get_setting",
    "set_setting",
    "purge_tasks",
    "setting_seconds",
    # execute
    "register_runner",
    "heartbeat",
    "deregister_runner",
    "extend_step",
    "complete_step",
    "advance",
    "maintain",
    "wake_up_channel",
    "listen",
    "queue_outlook",
    # look
    "get_task",
    "get_tasks",
    "task_states",
    "watch_tasks",
    "get_task_steps",
    "get_task_history",
    "task_list",
    "get_step_readiness_status",
    "get_step_readiness_status_batch",
    "get_task_execution_context",
    "get_task_execution_context_batch",
    "list_runners",
    "list_queues",
    "explain_step",
    "step_place",
    "check_consistency",
    # the graph of a task
    "step_dag_relationships",
    "calculate_dependency_levels",
    "get_step_transitive_dependencies",
    "get_critical_path",
    # insights
    "get_analytics_metrics",
    "get_slowest_steps",
    "get_slowest_tasks",
    "get_step_statistics",
    "get_task_statistics",
    "get_system_health_counts",
    "monitoring_metrics",
    # tests
    "clock",
    "session_clock",
    "set_session_clock",
    "outlook",
]
