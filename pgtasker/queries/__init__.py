"""Lazy, chainable questions about steps and tasks: `client.step_readiness.active().failed()`.

Each word gives a new, narrower query; nothing is sent before rows are wanted: by iteration, which
takes bounded memory, by `all`, `first`, `count` or `exists`. Conditions add up. A query reads the
views of all tasks unless `active` or `recent` says otherwise. `print` shows the SQL.
"""

from pgtasker.queries.async_fetching import (
    AsyncExecutionContextQuery,
    AsyncStepReadinessQuery,
    AsyncWorkflowSummaryQuery,
)
from pgtasker.queries.fetching import (
    ExecutionContextQuery,
    StepReadinessQuery,
    WorkflowSummaryQuery,
)

__all__ = [  # noqa: RUF022 - in the order in which a reader meets them
    "StepReadinessQuery",
    "ExecutionContextQuery",
    "WorkflowSummaryQuery",
    "AsyncStepReadinessQuery",
    "AsyncExecutionContextQuery",
    "AsyncWorkflowSummaryQuery",
]
