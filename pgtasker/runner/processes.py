"""Handlers in processes of their own: what computes, and what may crash.

Responsible for the worker processes: starting them when they are needed, using them again, noticing
how one died, and killing the one whose attempt no longer counts. What happens inside is left to
`worker`.

A pool of the standard library would not do: there, one worker that dies takes the others along, and
none can be killed by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing import spawn
from typing import Any

from pgtasker.errors import ConfigurationError, PgtaskerError, WorkflowError, one_line
from pgtasker.rows import Json
from pgtasker.runner.attempt import Attempt
from pgtasker.runner.executors import require_plain
from pgtasker.runner.frames import Job, Message, packed, read
from pgtasker.runner.outcomes import Outcome, died
from pgtasker.runner.worker import SIGNALS
from pgtasker.workflow import WorkflowStep

DRAIN = 0.5  # seconds until what a dead worker said last is surely read
FAREWELL = 1.0  # seconds for idle workers to end by themselves

_PROGRAM = "import sys; sys.path[:] = {path!r}; from pgtasker.runner.worker import main; main{args}"


class ProcessExecutor:
    """Plain functions at the top level of a module, in up to `size` worker processes (default: one
    for each processor).

    A worker executes one attempt at a time. If it dies, that attempt has failed, may be retried,
    and says how; if the attempt no longer counts, the worker is killed. What handlers started there
    ends with it, unless they gave it a session of its own.
    """

    def __init__(self, size: int | None = None) -> None:
        if size is not None and size < 1:
            raise ConfigurationError(f"size must be at least 1 process, not {size}")
        self.capacity: int | None = size or os.cpu_count() or 1
        self._pickled: dict[int, tuple[WorkflowStep, bytes]] = {}
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []

    def check(self, step: WorkflowStep) -> None:
        """Another process must be able to import the function."""
        require_plain(step)
        self._pickled[id(step)] = (step, _pickled(step))

    async def execute(self, attempt: Attempt) -> Outcome:
        """Let a worker do it; a worker that had died before it was asked does not count."""
        job = self._job(attempt)
        while True:
            worker = self._idle.pop() if self._idle else await self._started()
            try:
                return await worker.execute(attempt, job)
            except _Died as error:
                if error.during_job:
                    return died(error.how)
            finally:
                if worker.busy:
                    worker.kill()
                    self._workers.discard(worker)
                else:
                    self._idle.append(worker)

    async def close(self) -> None:
        """Kill those at work, let the idle ones end."""
        workers = list(self._workers)
        self._workers.clear()
        self._idle.clear()
        for worker in workers:
            if worker.busy:
                worker.kill()
            else:
                worker.dismiss()
        if workers:
            await asyncio.wait([worker.ended for worker in workers], timeout=FAREWELL)
        for worker in workers:
            worker.kill()

    async def _started(self) -> _Worker:
        worker = await _Worker.start()
        self._workers.add(worker)
        return worker

    def _job(self, attempt: Attempt) -> Job:
        if id(attempt.step) not in self._pickled:
            self.check(attempt.step)
        _, step = self._pickled[id(attempt.step)]
        main = _finding_main() if b"__main__" in step else {}
        return Job(step, main, attempt.claim, attempt.ids)


class _Died(Exception):  # noqa: N818 - an outcome
    """A worker died; `during_job`: while it did, or began, what it was asked to do."""

    def __init__(self, how: str, during_job: bool) -> None:
        super().__init__(how)
        self.how = how
        self.during_job = during_job


class _Worker:
    """One worker process, seen from the runner."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.busy = False
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process = process
        self._proven = False
        self._answering: set[asyncio.Task[None]] = set()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        reaper = (process, asyncio.get_running_loop(), self._has_ended)
        threading.Thread(target=_reap, args=reaper, name="worker", daemon=True).start()

    @classmethod
    async def start(cls) -> _Worker:
        """A new process, from the thread of the event loop."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                worker = cls(_open(theirs.fileno()))
            try:
                worker._reader, worker._writer = await asyncio.open_connection(sock=ours)
            except BaseException:
                worker.kill()
                raise
        except BaseException:
            ours.close()
            raise
        return worker

    async def execute(self, attempt: Attempt, job: Job) -> Outcome:
        """Hand over a job, do for its handler what it asks for, and return its outcome."""
        self.busy = True
        during_job = not self._proven
        try:
            await self._send(("job", job))
            while True:
                match await read(self._reader):
                    case ("received",):
                        during_job = True
                    case ("prepared",):
                        await attempt.begin()
                        await self._send(("begin",))
                    case ("extend", number, claim_id, timeout, progress):
                        if claim_id == attempt.claim.claim_id:
                            self._extend(attempt, number, timeout, progress)
                    case ("log", method, event, fields):
                        getattr(attempt.logger, method, attempt.logger.error)(event, **fields)
                    case ("record", fields):
                        _log_record(fields)
                    case ("ended", outcome):
                        self._proven = True
                        self.busy = False
                        return outcome  # type: ignore[no-any-return]
        except (EOFError, ConnectionError):
            raise _Died(await self._how(), during_job) from None

    def kill(self) -> None:
        """End it, and whatever its handler started, at once."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.dismiss()

    def dismiss(self) -> None:
        """Let it end when it is idle."""
        if hasattr(self, "_writer"):
            self._writer.close()

    def _extend(self, attempt: Attempt, number: int, timeout: float | None, progress: Json) -> None:
        async def answer() -> None:
            error: Exception | None = None
            try:
                await attempt.extend(timeout, progress)
            except Exception as raised:  # noqa: BLE001 - it is the handler's
                error = _portable(raised)
            with suppress(ConnectionError):
                await self._send(("answer", number, error))

        task = asyncio.create_task(answer())
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _send(self, message: Message) -> None:
        self._writer.write(packed(message))
        await self._writer.drain()

    async def _how(self) -> str:
        """How it died."""
        await asyncio.wait([self.ended], timeout=FAREWELL)
        if not self.ended.done():
            return "the worker process closed its line to the runner"
        code = self.ended.result()
        if code >= 0:
            return f"the worker process ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        return f"the worker process was killed by {name}{hint}"

    def _has_ended(self, code: int) -> None:
        self.ended.set_result(code)
        # Something that it started may hold its end of the line open.
        asyncio.get_running_loop().call_later(DRAIN, self._feed_eof)

    def _feed_eof(self) -> None:
        if hasattr(self, "_reader"):
            self._reader.feed_eof()


def _open(number: int) -> subprocess.Popen[bytes]:
    """A process that leads a group of its own and holds this file."""
    arguments = (number, os.getpid(), logging.getLogger().getEffectiveLevel())
    data = spawn.get_preparation_data("worker")
    program = _PROGRAM.format(path=data["sys_path"], args=arguments)
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    # Until it has handlers of its own, no signal that is meant for the runner may end it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        return subprocess.Popen(
            [sys.executable, *flags, "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=[number],
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _reap(process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, tell: Any) -> None:
    if hasattr(os, "waitid"):  # not on every macOS
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # Its number cannot be given to another before `wait`: what it started ends with it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(tell, code)


def _pickled(step: WorkflowStep) -> bytes:
    """The step as a worker can read it: its function by name."""
    top, _, _ = (getattr(step.function, "__module__", None) or "").partition(".")
    try:
        pickled = pickle.dumps(step)
    except Exception as error:
        raise WorkflowError(
            f"{step.where} runs in a process of its own, which cannot import it "
            f"({one_line(error)}): declare it at the top level of a module, under its own name"
        ) from error
    if top == "__main__" and not _finding_main():
        raise WorkflowError(
            f"{step.where} runs in a process of its own, which cannot import it from an "
            "interactive session: declare it in a file"
        )
    if top and top != "__main__" and not _can_be_found(top):
        raise WorkflowError(
            f"{step.where} runs in a process of its own, which finds no module {top!r}: "
            "put the module on the path"
        )
    return pickled


def _finding_main() -> dict[str, Any]:
    """With what a worker finds the main module of this process; empty if it cannot."""
    data = spawn.get_preparation_data("worker")
    main = {name: value for name, value in data.items() if name.startswith("init_main")}
    return {**main, "sys_argv": data["sys_argv"]} if main else {}


def _can_be_found(module: str) -> bool:
    finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
    return any(find is not None and find(module, None) is not None for find in finders)


def _log_record(fields: dict[str, Any]) -> None:
    record = logging.makeLogRecord(fields)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _portable(error: Exception) -> Exception:
    """The error if it can be sent to another process, else one with its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - errors may hold anything
        return PgtaskerError(f"{type(error).__name__}: {one_line(error)}")
    return error
