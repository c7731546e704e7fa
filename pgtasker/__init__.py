"""A durable DAG workflow engine that lives in PostgreSQL.

This module is the table of contents: what it names is public, what it does not name may change.
"""

from pgtasker.async_client import AsyncClient
from pgtasker.client import Client
from pgtasker.errors import (
    ClaimLost,
    ConfigurationError,
    EngineError,
    IdempotencyConflict,
    NotInstalled,
    PayloadError,
    PermanentError,
    PgtaskerError,
    RetryableError,
    RunnerExpired,
    UnknownWorkflow,
    WorkflowError,
)
from pgtasker.loading import load_workflows
from pgtasker.runner import (
    AsyncStep,
    EventDriven,
    Executor,
    Health,
    Polling,
    ProcessExecutor,
    Runner,
    Step,
    UntilEmpty,
)
from pgtasker.workflow import Backoff, StepOptions, Workflow

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - in the order in which a reader meets them
    # declare
    "Workflow",
    "StepOptions",
    "Backoff",
    "load_workflows",
    # start and look
    "Client",
    "AsyncClient",
    # execute
    "Runner",
    "Step",
    "AsyncStep",
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
    "EngineError",
    "ClaimLost",
    "IdempotencyConflict",
    "UnknownWorkflow",
    "RunnerExpired",
]
