"""Handlers for worker processes, which import this module: it imports little."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from pgtasker import ClaimLost, PermanentError, RetryableError, Step


@dataclass
class Order:
    """What a typed handler takes and gives."""

    number: int
    total: float = 0.0


def where(step: Step) -> dict[str, Any]:
    """Where it runs, and what it knows of its attempt."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "is_main_thread": threading.current_thread() is threading.main_thread(),
        "attempt": [step.name, step.attempt, step.task_id, step.workflow_step_id, step.inputs],
        "cancelled": step.cancelled,
    }


def double(context: Order) -> Order:
    """Types are those of this module, in the worker too."""
    assert isinstance(context, Order)
    return Order(context.number, context.total * 2)


def end(context: dict[str, Any]) -> None:
    """The process ends, as the context says."""
    if context["how"] == "exit":
        os._exit(3)
    if context["how"] == "system_exit":
        sys.exit("enough")
    os.kill(os.getpid(), getattr(signal, context["how"]))


def touch_and_hang(context: dict[str, Any]) -> None:
    """Says who it is, starts a process of its own, and hangs."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    Path(context["begun"]).write_text(f"{os.getpid()} {child.pid}\n")
    while True:
        time.sleep(0.01)


def spin(context: dict[str, Any]) -> None:
    """Never lets go of the processor."""
    Path(context["begun"]).write_text(f"{os.getpid()}\n")
    while True:
        pass


def tell(step: Step) -> str:
    """Tells its progress, asks for time, and whether it counts."""
    step.progress({"percent": 10})
    step.extend(timeout=60)
    try:
        step.heartbeat()
    except ClaimLost:
        return f"lost, cancelled {step.cancelled}"
    return "counts"


def tell_nonsense(step: Step) -> str:
    """Progress that is no JSON is an error of the handler, and does no harm."""
    try:
        step.progress({1, 2})
    except ValueError as error:
        return str(error)
    return "taken"


def log(step: Step) -> None:
    """Writes lines, by each way there is."""
    step.logger.bind(by="step").warning("from the step", shop={"items": [1, 2]}, thing=object)
    structlog.get_logger("shop").info("from structlog", by="structlog")
    logging.getLogger("shop").warning("from %s", "logging")
    try:
        raise ValueError("no such order")
    except ValueError:
        step.logger.exception("failed")


def fail(context: dict[str, Any]) -> Any:
    """Fails as the context says."""
    kind = context["kind"]
    if kind == "permanent":
        raise PermanentError("never")
    if kind == "retryable":
        raise RetryableError("later", retry_after=7)
    if kind == "any":
        raise ValueError("no such order")
    return {1, 2}


def fork(context: dict[str, Any]) -> None:
    """Leaves a fork behind that holds every file open, and then dies."""
    begun = Path(context["begun"])
    if os.fork() == 0:
        if context["own_session"]:
            os.setsid()
        begun.write_text(f"{os.getpid()}\n")
        time.sleep(60)
        os._exit(0)
    while not begun.exists() or not begun.read_text():  # it dies with us, before it has written
        time.sleep(0.001)
    os._exit(4)


def leave_fork() -> str:
    """The fork returns too; there must be one answer."""
    return "child" if os.fork() == 0 else "parent"


def signals() -> list[bool]:
    """What is started in a handler obeys signals as usual."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    child.terminate()
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    return [child.wait(20) == -signal.SIGTERM]


def large() -> str:
    """More than any buffer holds."""
    return "x" * 3_000_000


def same_name() -> str:
    """Stands for another function of this name."""
    return "the first"


first_of_the_name = same_name


def same_name() -> str:  # type: ignore[no-redef]
    """The one that the module has under this name."""
    return "the second"


def ask_for_connection(step: Step) -> None:
    """It cannot be had in a worker process."""
    step.connection()


def log_a_card(context: dict[str, Any], step: Step) -> None:
    """Says what is not to be read."""
    step.logger.info("charging elsewhere", card_number=context["card"])
