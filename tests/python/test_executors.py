"""Handlers in processes of their own: what they can do, and what becomes of their workers.

A worker takes a moment to start, so most tests share an event loop and the workers on it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pgtasker import ClaimLost, ConfigurationError, Runner, Workflow, WorkflowError
from pgtasker.runner import processes
from pgtasker.runner.processes import ProcessExecutor

from . import process_steps
from .bench import PATIENCE, Bench, reached, run
from .claims import claim


class ProcessBench(Bench):
    """A bench whose step runs in processes."""

    def __init__(self, function: Callable[..., Any], executor: ProcessExecutor) -> None:
        super().__init__(function, executors={"process": executor}, executor="process")

    async def outcome(self, **changes: Any) -> dict[str, Any]:
        """Execute one attempt; how it ended."""
        number = len(self.reports) + 1
        self.executions.begin(claim(claim_id=number, **changes))
        await self.until(lambda: number in self.reports.claims)
        return self.reported()[number]


class Floor:
    """An event loop with workers on it."""

    def __init__(self) -> None:
        self.executor = ProcessExecutor(2)
        self._runner = asyncio.Runner()

    def bench(self, function: Callable[..., Any]) -> ProcessBench:
        """A bench that shares the workers."""
        return ProcessBench(function, self.executor)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine function to its end."""
        self._runner.run(scenario())

    def close(self) -> None:
        """End the workers, then the loop."""
        self.run(self.executor.close)
        self._runner.close()


@pytest.fixture(scope="module")
def floor() -> Iterator[Floor]:
    """One for all tests here."""
    floor = Floor()
    yield floor
    floor.close()


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is not merely a name waiting to be read."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def written(file: Path) -> list[int]:
    """The process ids that a handler wrote, once it has."""
    await reached(lambda: file.exists() and file.read_text().endswith("\n"))
    return [int(pid) for pid in file.read_text().split()]


def test_a_handler_runs_in_the_main_thread_of_a_worker_that_is_used_again():
    """It knows its attempt as any other does; at the end the worker ends too."""

    async def scenario() -> None:
        bench = ProcessBench(process_steps.where, ProcessExecutor(1))
        first = (await bench.outcome(inputs={"a": 1}))["results"]
        second = (await bench.outcome(attempt=2))["results"]
        assert await bench.executions.close(PATIENCE) == 0
        assert first["pid"] == second["pid"] != os.getpid()
        assert first["parent"] == os.getpid()
        assert first["is_main_thread"]
        assert not first["cancelled"]
        assert first["attempt"] == ["work", 1, 1, 10, {"a": 1}]
        assert second["attempt"] == ["work", 2, 1, 20, {}]
        await reached(lambda: not alive(first["pid"]))

    run(scenario)


def test_no_worker_is_started_before_it_is_needed_and_none_beyond_the_size():
    """Attempts beyond it wait for their turn."""

    async def scenario() -> None:
        others = psutil.Process().children()
        bench = ProcessBench(process_steps.where, ProcessExecutor(2))
        assert psutil.Process().children() == others
        for number in range(1, 6):
            bench.executions.begin(claim(claim_id=number))
        await bench.until(lambda: len(bench.reports) == 5)
        pids = {report["results"]["pid"] for report in bench.reported().values()}
        await bench.executions.close(PATIENCE)
        assert len(pids) == 2

    run(scenario)


def test_types_are_read_and_written_in_the_worker(floor: Floor):
    """The handler gets what its annotation says, and may return one."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.double)
        ended = await bench.outcome(context={"number": 1, "total": 2.5})
        wrong = await bench.outcome(context={"number": "one"})
        assert ended["results"] == {"number": 1, "total": 5.0}
        assert (wrong["outcome"], wrong["retryable"]) == ("fail", False)
        assert "context.number" in wrong["error"]["message"]

    floor.run(scenario)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("exit", "the worker process ended with exit code 3"),
        ("SIGKILL", "the worker process was killed by SIGKILL, as the system does when memory"),
        ("SIGSEGV", "the worker process was killed by SIGSEGV"),
    ],
)
def test_a_worker_that_dies_is_a_failed_attempt_that_says_how(floor: Floor, how: str, message: str):
    """It may be retried, and the next attempt gets a worker that lives."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.end)
        died = await bench.outcome(context={"how": how})
        again = await bench.outcome(context={"how": "system_exit"})
        assert died["error"]["type"] == "WorkerDied"
        assert died["error"]["message"].startswith(message)
        assert died["retryable"] is True
        assert again["error"]["type"] == "SystemExit"

    floor.run(scenario)


def test_only_the_step_of_the_dead_worker_fails(floor: Floor):
    """Those beside it do not notice."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.end)
        bench.executions.begin(claim(claim_id=1, context={"how": "SIGKILL"}))
        bench.executions.begin(claim(claim_id=2, context={"how": "system_exit"}))
        await bench.until(lambda: len(bench.reports) == 2)
        kinds = [bench.reported()[number]["error"]["type"] for number in (1, 2)]
        assert kinds == ["WorkerDied", "SystemExit"]

    floor.run(scenario)


def test_a_worker_that_died_while_it_was_idle_costs_no_attempt(floor: Floor):
    """The next one is executed by another worker."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.where)
        first = (await bench.outcome())["results"]
        os.kill(first["pid"], signal.SIGKILL)
        second = await bench.outcome()
        assert second["outcome"] == "complete"
        assert second["results"]["pid"] != first["pid"]

    floor.run(scenario)


@pytest.mark.parametrize("why", ["timeout", "lost", "released"])
def test_a_worker_whose_attempt_no_longer_counts_is_killed(floor: Floor, why: str, tmp_path: Path):
    """At once, with what its handler started; the slot is free."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.touch_and_hang)
        begun = tmp_path / "begun"
        timeout = 0.3 if why == "timeout" else None
        bench.executions.begin(claim(context={"begun": str(begun)}, timeout=timeout))
        pids = await written(begun)
        if why == "lost":
            bench.executions.settle(99, None)
        elif why == "released":
            bench.executions.release()
        await bench.until(lambda: bench.executions.occupied == 0)
        await reached(lambda: not any(map(alive, pids)))
        assert len(bench.reports) == (0 if why == "lost" else 1)

    floor.run(scenario)


def test_the_clock_of_an_attempt_starts_when_its_worker_is_ready(monkeypatch: pytest.MonkeyPatch):
    """A new worker takes longer to start than this attempt may take."""
    start = processes._Worker.start

    async def late() -> processes._Worker:
        worker = await start()
        await asyncio.sleep(0.6)
        return worker

    monkeypatch.setattr(processes._Worker, "start", late)

    async def scenario() -> None:
        bench = ProcessBench(process_steps.where, ProcessExecutor(1))
        ended = await bench.outcome(timeout=0.5)
        await bench.executions.close(PATIENCE)
        assert ended["outcome"] == "complete"
        assert bench.extended == [(0.5, None)]

    run(scenario)


def test_a_handler_speaks_to_the_database_through_the_runner(floor: Floor):
    """Progress, more time, and whether it counts: ClaimLost is raised in the worker."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.tell)
        assert (await bench.outcome())["results"] == "counts"
        assert bench.extended == [(None, {"percent": 10}), (60, None), (None, None)]

        bench = floor.bench(process_steps.tell)
        bench.refusal = ClaimLost("the claim is lost")
        bench.executions.begin(claim())
        await bench.until(lambda: bench.executions.occupied == 0)
        assert len(bench.reports) == 0
        assert [line["event"] for line in bench.lines.kept] == ["step began", "claim lost"]

    floor.run(scenario)


def test_progress_that_is_no_json_is_an_error_in_the_handler(floor: Floor):
    """Nothing of it reaches the runner."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.tell_nonsense)
        assert "not JSON serializable" in (await bench.outcome())["results"]

    floor.run(scenario)


def test_log_lines_go_through_the_runner(floor: Floor, caplog: pytest.LogCaptureFixture):
    """So they have its form and the ids, whoever wrote them."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.log)
        with caplog.at_level(logging.INFO):
            await bench.outcome(attempt=2)
        ours = bench.lines.named("from the step") + bench.lines.named("from structlog")
        assert [line["by"] for line in ours] == ["step", "structlog"]
        assert [line["level"] for line in ours] == ["warning", "info"]
        for line in ours:
            assert (line["task_id"], line["workflow_step_id"], line["attempt"]) == (1, 10, 2)
        assert ours[0]["shop"] == {"items": [1, 2]}
        assert "object" in ours[0]["thing"]
        [failed] = bench.lines.named("failed")
        assert failed["level"] == "error"
        assert "no such order" in failed["exception"]
        [record] = [record for record in caplog.records if record.name == "shop"]
        assert (record.getMessage(), record.levelname) == ("from logging", "WARNING")

    floor.run(scenario)


def test_failures_mean_the_same_as_elsewhere(floor: Floor):
    """Permanent, retryable with a delay, any other with its traceback, and a result that is no
    JSON.
    """

    async def scenario() -> None:
        bench = floor.bench(process_steps.fail)
        permanent = await bench.outcome(context={"kind": "permanent"})
        retryable = await bench.outcome(context={"kind": "retryable"})
        other = await bench.outcome(context={"kind": "any"})
        no_json = await bench.outcome(context={"kind": "no json"})
        assert permanent["retryable"] is False
        assert retryable["retry_after"] == 7
        assert "in fail" in other["error"]["traceback"]
        assert "worker.py" not in other["error"]["traceback"]
        assert no_json["retryable"] is False
        assert "the result cannot be stored as json" in no_json["error"]["message"]

    floor.run(scenario)


@pytest.mark.parametrize("own_session", [False, True])
def test_a_fork_does_not_hide_the_death_of_its_worker(
    floor: Floor, tmp_path: Path, own_session: bool
):
    """It is killed too, but for one in a session of its own, which may hold the line to us."""
    begun = tmp_path / "begun"

    async def scenario() -> None:
        bench = floor.bench(process_steps.fork)
        context = {"begun": str(begun), "own_session": own_session}
        assert "exit code 4" in (await bench.outcome(context=context))["error"]["message"]
        (fork,) = await written(begun)
        if own_session:
            os.kill(fork, signal.SIGKILL)
        await reached(lambda: not alive(fork))

    floor.run(scenario)


def test_a_fork_that_returns_is_not_heard(floor: Floor):
    """The worker answers once, and serves the next attempt."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.leave_fork)
        for _ in range(2):
            assert (await bench.outcome())["results"] == "parent"

    floor.run(scenario)


def test_signals_for_the_runner_do_not_end_workers(floor: Floor):
    """But they end what a handler starts, as usual."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.signals)
        assert (await bench.outcome())["results"] == [True]

    floor.run(scenario)


def test_a_signal_while_a_worker_starts_does_not_end_it():
    """It is blocked until the worker has a handler for it."""

    async def scenario() -> None:
        bench = ProcessBench(process_steps.where, ProcessExecutor(1))
        bench.executions.begin(claim())
        await reached(lambda: psutil.Process().children())
        for child in psutil.Process().children():
            child.terminate()
        assert (await bench.ended())["outcome"] == "complete"
        await bench.executions.close(PATIENCE)

    run(scenario)


def test_a_large_result_arrives(floor: Floor):
    """Whether it is too large is for the database to say."""

    async def scenario() -> None:
        bench = floor.bench(process_steps.large)
        assert len((await bench.outcome())["results"]) == 3_000_000

    floor.run(scenario)


def runner_for(function: Callable[..., Any], **options: Any) -> Runner:
    """A runner that is only made."""
    workflow = Workflow("flow")
    workflow.step(name="work", **options)(function)
    return Runner("", [workflow], register=False)


def test_a_function_that_no_process_can_import_is_refused_when_the_runner_is_made():
    """The error points at it, and says what to do."""
    lost = types.ModuleType("a_module_without_a_file")
    exec("def work(): ...", vars(lost))
    sys.modules[lost.__name__] = lost
    try:
        for function, reason in (
            (process_steps.first_of_the_name, "under its own name"),
            (lost.work, "finds no module 'a_module_without_a_file'"),
        ):
            with pytest.raises(WorkflowError, match="step 'work'.*" + reason):
                runner_for(function, executor="process")
    finally:
        del sys.modules[lost.__name__]


def test_an_executor_in_no_place_is_refused():
    """No step could ask for it."""
    with pytest.raises(ConfigurationError, match="asks for an executor 'pool': there are async, t"):
        Runner("", [Workflow("w")], executors={"pool": ProcessExecutor()})


def test_a_pool_needs_a_process():
    """A size below one is refused."""
    with pytest.raises(ConfigurationError, match="at least 1 process, not 0"):
        ProcessExecutor(0)


# Whole programs: a script that runs attempts in worker processes, and is then treated badly.

SCRIPT = """
    import asyncio, os, sys, time
    from pathlib import Path
    from pgtasker import Workflow
    from pgtasker.runner.execution import Executions
    from pgtasker.runner.handlers import Handlers
    from pgtasker.runner.processes import ProcessExecutor
    from pgtasker.runner.reports import Reports
    from tests.python.bench import Lines
    from tests.python.claims import claim

    flow = Workflow("flow")

    @flow.step(executor="process")
    def work(context):
        Path(context["begun"]).write_text(f"{os.getpid()}\\n")
        BODY
        return __name__

    async def main():
        executor = ProcessExecutor(1)
        executor.check(flow.steps["work"])
        reports, changed = Reports(), asyncio.Event()
        executions = Executions(
            Handlers([flow]), {"process": executor}, reports, None, changed.set, Lines(), "runner"
        )
        executions.begin(claim(context={"begun": sys.argv[1]}))
        while not reports:
            changed.clear()
            await changed.wait()
        print(*reports.batch().values())
        await executions.close(5)

    GUARD
        asyncio.run(main())
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a script, in a group of its own; what still runs is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(body: str, guard: str = 'if __name__ == "__main__":') -> subprocess.Popen[str]:
        script = tmp_path / "script.py"
        text = textwrap.dedent(SCRIPT).replace("BODY", body).replace("GUARD", guard)
        script.write_text(text)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        started.append(
            subprocess.Popen(
                [sys.executable, script, tmp_path / "begun"],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_function_of_the_main_script_runs_in_a_worker(program: Any):
    """The worker loads the script under another name, so that its guard holds."""
    said, _ = program("pass").communicate(timeout=PATIENCE)
    assert '"results":"__mp_main__"' in said


@pytest.mark.parametrize("body", ["time.sleep(3600)", "while True: pass"])
def test_workers_end_with_their_runner(program: Any, tmp_path: Path, body: str):
    """Killed with -9 in the middle of a step, it leaves none behind."""

    async def scenario() -> None:
        process = program(body)
        (worker,) = await written(tmp_path / "begun")
        process.kill()
        await reached(lambda: not alive(worker))

    run(scenario)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_of_the_runner_reaches_no_worker(
    program: Any, tmp_path: Path, number: int
):
    """Whether its worker may go on is decided by the runner, which is not even told here."""

    async def scenario() -> None:
        process = program("time.sleep(0.2)")
        (worker,) = await written(tmp_path / "begun")
        assert os.getpgid(worker) != os.getpgid(process.pid)
        os.kill(worker, number)
        said, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
        assert "complete" in said

    run(scenario)
