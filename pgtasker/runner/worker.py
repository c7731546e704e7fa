"""A worker process: executes one attempt after the other for the runner that started it.

Responsible for loading the function, for calling it in the main thread, and for ending when the
runner is gone, also in the middle of a handler. It speaks to the runner alone: log lines and
extensions go through it. `processes` is the other end of the line.
"""

from __future__ import annotations

import contextvars
import faulthandler
import itertools
import json
import logging
import logging.handlers
import os
import pickle
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import spawn
from typing import Any

import structlog
from structlog.typing import EventDict

from pgtasker import payload
from pgtasker.errors import ClaimLost, PgtaskerError
from pgtasker.rows import Json
from pgtasker.runner.attempt import call
from pgtasker.runner.frames import Job, Message, packed, receive
from pgtasker.runner.outcomes import Outcome, failed
from pgtasker.runner.step import Step, facts
from pgtasker.workflow import WorkflowStep

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # are for the runner, which decides about its workers
LOOK_EVERY = 1.0  # seconds between two looks whether the runner lives
FAREWELL = 2.0  # seconds for an idle worker to end by itself

loading_main = False  # whether the main module of the runner is being loaded, to find a function


def main(number: int, runner: int, level: int) -> None:
    """Serve the line with this file number for the runner with this process id."""
    for each in SIGNALS:  # not ignored: what a handler starts would inherit that
        signal.signal(each, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    faulthandler.enable()
    Worker(socket.socket(fileno=number), runner).serve(level)


class Worker:
    """One end of the line to the runner."""

    def __init__(self, line: socket.socket, runner: int) -> None:
        line.set_inheritable(False)
        self._line = line
        self._runner = runner
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._answers: dict[int, queue.SimpleQueue[BaseException | None]] = {}
        self._numbers = itertools.count()
        self._busy = False
        self._has_main = False

    def serve(self, level: int) -> None:
        """Execute what comes, until the line is closed."""
        logging.getLogger().setLevel(level)
        logging.getLogger().addHandler(_Records(self._send))
        structlog.configure(**self._logging())
        threading.Thread(target=self._listen, name="runner", daemon=True).start()
        while (message := self._inbox.get())[0] == "job":
            self._busy = True
            self._send(("received",))
            outcome = contextvars.copy_context().run(self._executed, message[1])
            if os.getpid() != self._pid:
                os._exit(0)  # a fork that the handler left behind: only the worker itself answers
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            self._busy = False
            self._send(("ended", outcome))

    def _executed(self, job: Job) -> Outcome:
        structlog.contextvars.bind_contextvars(**job.ids)
        try:
            step = self._loaded(job)
        except BaseException as error:  # noqa: BLE001 - what a module does is its own affair
            return failed(error, retryable=not isinstance(error, PgtaskerError))
        self._send(("prepared",))
        self._inbox.get()  # the word to begin
        claim, lost = job.claim, threading.Event()

        def extend(timeout: float | None, progress: Json) -> None:
            told = json.loads(payload.dump(progress, "the progress"))
            try:
                self._ask("extend", claim.claim_id, timeout, told)
            except ClaimLost:
                lost.set()
                raise

        def running() -> Step:
            return Step(
                **facts(claim),
                logger=structlog.wrap_logger(None, **self._logging()),
                _extend=extend,
                _is_cancelled=lost.is_set,
            )

        return call(step, claim, running)

    def _loaded(self, job: Job) -> WorkflowStep:
        global loading_main
        if job.main and not self._has_main:
            loading_main = True
            try:
                spawn.prepare(job.main)
            finally:
                loading_main = False
            self._has_main = True
        step: WorkflowStep = pickle.loads(job.step)
        return step

    # The line.

    def _send(self, message: Message) -> None:
        frame = packed(message)
        with self._sending:
            self._line.sendall(frame)

    def _ask(self, name: str, *more: object) -> None:
        number = next(self._numbers)
        answer: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._answers[number] = answer
        self._send((name, number, *more))
        error = answer.get()
        if error is not None:
            raise error

    def _listen(self) -> None:
        """Pass on what the runner says; its end is ours."""
        with suppress(EOFError):
            while os.getppid() == self._runner:
                if select.select([self._line], [], [], LOOK_EVERY)[0]:
                    message = receive(self._line)
                    if message[0] == "answer":
                        _, number, error = message
                        self._answers.pop(number).put(error)
                    else:
                        self._inbox.put(message)
        if not self._busy:
            self._inbox.put(("end",))
            time.sleep(FAREWELL)
        os.killpg(0, signal.SIGKILL)  # we lead our group: what the handler started ends too

    # Logs.

    def _logging(self) -> dict[str, Any]:
        """How structlog hands lines to the runner, which gives them ids and form."""
        return {
            "processors": [
                structlog.contextvars.merge_contextvars,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                self._hand_on,
            ],
            "wrapper_class": structlog.make_filtering_bound_logger(logging.DEBUG),
        }

    def _hand_on(self, _: Any, method: str, line: EventDict) -> EventDict:
        event = str(line.pop("event", ""))
        self._send(("log", method, event, _plain(dict(line))))
        raise structlog.DropEvent


class _Records(logging.handlers.QueueHandler):
    """Hands records of the standard library's logging to the runner."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        super().__init__(queue.SimpleQueue())
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        self._send(("record", _plain(vars(record))))


def _plain(value: Any) -> Any:
    """What any process can read: values of other types become their text."""
    if type(value) is dict:
        return {str(name): _plain(each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return [_plain(each) for each in value]
    return value if type(value) in (str, int, float, bool, type(None)) else repr(value)
