"""A durable DAG workflow engine that lives in PostgreSQL.

This module is the table of contents: what it names is public, as are `pgtasker.testing`, the rows
of `pgtasker.rows` and the queries of `pgtasker.queries`; anything else may change.
"""

from pgtasker.async_client import AsyncClient
from pgtasker.client import Client
from pgtasker.codec import Codec
from pgtasker.errors import (
    ClaimLost,
    ConfigurationError,
    EngineError,
    IdempotencyConflict,
    InvalidContext,
    InvalidPayload,
    NotInstalled,
    PayloadError,
    PermanentError,
    PgtaskerError,
    Problem,
    RetryableError,
    RunnerExpired,
    UnknownWorkflow,
    WorkflowError,
)
from pgtasker.loading import load_documents, load_workflows
from pgtasker.rows import StepReadinessStatus, TaskExecutionContext, TaskWorkflowSummary
from pgtasker.runner import (
    AsyncStep,
    Coordination,
    EventDriven,
    Executor,
    Health,
    Polling,
    ProcessExecutor,
    Runner,
    Step,
    UntilEmpty,
)
from pgtasker.workflow import Workflow
from pgtasker.workflow_step import Backoff, StepOptions

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - in the order in which a reader meets them
    # declare
    "Workflow",
    "StepOptions",
    "Backoff",
    "load_workflows",
    "load_documents",
    # start and look
    "Client",
    "AsyncClient",
    "Codec",
    "StepReadinessStatus",
    "TaskExecutionContext",
    "TaskWorkflowSummary",
    # execute
    "Runner",
    "Step",
    "AsyncStep",
    "Coordination",
    "EventDriven",
    "Polling",
    "UntilEmpty",
    "Executor",
    "ProcessExecutor",
    "Health",
    "RetryableError",
    "PermanentError",
    # errors
    "PgtaskerError",
    "ConfigurationError",
    "NotInstalled",
    "WorkflowError",
    "PayloadError",
    "InvalidPayload",
    "InvalidContext",
    "Problem",
    "EngineError",
    "ClaimLost",
    "IdempotencyConflict",
    "UnknownWorkflow",
    "RunnerExpired",
]
