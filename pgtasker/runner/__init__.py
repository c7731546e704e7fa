"""The hands: claims steps, executes their handlers, reports how they ended. Knows no graph."""

from pgtasker.runner.coordination import Coordination, EventDriven, Polling, UntilEmpty
from pgtasker.runner.executors import Executor
from pgtasker.runner.health import Health
from pgtasker.runner.processes import ProcessExecutor
from pgtasker.runner.runner import Runner
from pgtasker.runner.step import AsyncStep, Step

__all__ = [
    "AsyncStep",
    "Coordination",
    "EventDriven",
    "Executor",
    "Health",
    "Polling",
    "ProcessExecutor",
    "Runner",
    "Step",
    "UntilEmpty",
]
