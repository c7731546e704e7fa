"""`run`: the daemon that executes steps, as one process or as several under a supervisor.

Responsible for turning options into a runner, its logs and its probes. The work is left to
`runner`, `supervisor`, `logs` and `probes`.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import structlog

from pgtasker.cli.base import Settings, database_options
from pgtasker.loading import load_workflows
from pgtasker.runner import ProcessExecutor, Runner
from pgtasker.runner.coordination import Coordination, EventDriven, Polling, UntilEmpty
from pgtasker.runner.loop import LoopFactory
from pgtasker.service import logs
from pgtasker.service.probes import Probes
from pgtasker.service.supervised import line_to_supervisor, run_supervised
from pgtasker.service.supervisor import Supervisor, command_of

FAREWELL = 1.0  # seconds for idle threads to end by themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `run`, as given."""

    modules: tuple[str, ...]
    queues: tuple[str, ...]
    concurrency: int
    name: str | None
    grace: float
    transactions: int
    replace: bool
    coordination: str
    poll_interval: float
    processes: int | None
    log_format: logs.Format
    log_level: logs.Level
    health_port: int | None
    health_host: str | None
    health_file: Path | None
    workers: int | None = None
    event_loop: Literal["asyncio", "uvloop"] = "asyncio"

    def runner(self, settings: Settings) -> Runner:
        """The runner of this process.

        What is loaded by now stays to the end. To look through it once more then, for garbage, took
        0.3 s of a processor, which those may be short of that take over the work. What the modules
        of the application bring is collected as ever.
        """
        gc.freeze()
        return Runner(
            settings.dsn,
            load_workflows(*self.modules),
            queues=list(self.queues) or None,
            schema=settings.schema,
            concurrency=self.concurrency,
            name=self.name,
            grace=self.grace,
            transactions=self.transactions,
            replace=self.replace,
            coordination=self.strategy(),
            executors={"process": ProcessExecutor(self.workers)},
            codec=settings.codec(),
        )

    def strategy(self) -> Coordination:
        """How the runner waits for work."""
        if self.coordination == "poll":
            return Polling(self.poll_interval)
        return UntilEmpty() if self.coordination == "once" else EventDriven()

    def loop_factory(self) -> LoopFactory | None:
        """What makes the event loop; None: asyncio."""
        if self.event_loop == "asyncio":
            return None
        try:
            factory: LoopFactory = importlib.import_module("uvloop").new_event_loop
        except ImportError:
            raise click.UsageError(
                "uvloop is not installed: pip install 'pgtasker[uvloop]', or leave --event-loop out"
            ) from None
        return factory

    def arguments(self, name: str) -> list[str]:
        """The command line of one process under a supervisor."""
        given: list[tuple[str, object]] = [
            ("--name", name),
            ("--concurrency", self.concurrency),
            ("--grace", self.grace),
            ("--transactions", self.transactions),
            ("--coordination", self.coordination),
            ("--poll-interval", self.poll_interval),
            ("--workers", self.workers or self.share()),
            ("--event-loop", self.event_loop),
            ("--log-format", self.log_format),
            ("--log-level", self.log_level),
            *(("--queue", queue) for queue in self.queues),
        ]
        options = [f"{option}={value}" for option, value in given]
        return ["run", *options, *(["--replace"] if self.replace else []), "--", *self.modules]

    def share(self) -> int:
        """The processors that each of the processes has to itself."""
        return max(1, (os.cpu_count() or 1) // (self.processes or 1))

    def names(self) -> list[str]:
        """The names of the processes under a supervisor."""
        name = self.name or f"{socket.gethostname()}-runner"
        return [f"{name}-{number}" for number in range(1, (self.processes or 1) + 1)]


@click.command()
@click.argument("modules", nargs=-1, required=True, metavar="MODULE|FILE...")
@click.option(
    "--queue", "queues", multiple=True, metavar="NAME", help="Else those of the workflows."
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=50,
    metavar="N",
    help="Steps that may run at once, in each process.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="So many processes under a supervisor, which restarts what dies.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="So many processes, in each of these, for steps with the executor `process`; else one for "
    "each processor, divided among the --processes.",
)
@click.option(
    "--name", metavar="TEXT", help="The runner's name; with --processes NAME-1, NAME-2, ..."
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=10.0,
    metavar="SECONDS",
    help="How long running steps may take after SIGTERM.",
)
@click.option(
    "--transactions",
    type=click.IntRange(min=1),
    default=10,
    metavar="N",
    help="Handlers of either kind that may write in the transaction of their completion at once, "
    "each on a connection of its own.",
)
@click.option("--replace", is_flag=True, help="Replace other content under a known version.")
@click.option(
    "--coordination",
    type=click.Choice(["event", "poll", "once"]),
    default="event",
    help="Be woken by the database; look for work at intervals; or run what is ready and end.",
)
@click.option(
    "--poll-interval",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    metavar="SECONDS",
    help="The interval of --coordination poll.",
)
@click.option(
    "--event-loop",
    type=click.Choice(["asyncio", "uvloop"]),
    default="asyncio",
    help="What schedules coroutines; uvloop is an extra, pgtasker[uvloop].",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    envvar="PGTASKER_LOG_FORMAT",
    help="Lines for people (auto: in colours on a terminal), or one JSON object per line; else "
    "PGTASKER_LOG_FORMAT.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    envvar="PGTASKER_LOG_LEVEL",
    help="debug also tells of each step that begins and ends; else PGTASKER_LOG_LEVEL.",
)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Answer GET /livez and /readyz there with 200 or 503.",
)
@click.option(
    "--health-host",
    metavar="ADDRESS",
    help="The address of that port; else every one of this machine, as Kubernetes needs it.",
)
@click.option(
    "--health-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Touch this file every few seconds while the runner is live.",
)
@database_options
@click.pass_obj
def run(settings: Settings, /, **given: Any) -> None:
    """Run the steps of workflows until stopped.

    A MODULE is a dotted name or a .py file; a FILE is a workflow in YAML or JSON whose handlers are
    import paths. SIGTERM and Ctrl-C let running steps finish; a second one gives them back at once.
    """
    options = Options(**given)
    loop_factory = options.loop_factory()
    logs.configure(options.log_format, options.log_level, dsns=[settings.dsn])
    line = line_to_supervisor()
    if line is not None:
        with _abandoning_threads():
            run_supervised(options.runner(settings), line, options.grace, loop_factory)
    elif options.processes is not None:
        _supervise(settings, options)
    else:
        runner = options.runner(settings)
        with _abandoning_threads(), _probes(runner.health, options):
            runner.run_forever(loop_factory=loop_factory)


def _supervise(settings: Settings, options: Options) -> None:
    supervisor = Supervisor(
        lambda name: command_of(options.arguments(name)),
        options.names(),
        grace=options.grace,
        environment=settings.environment(),
        until_empty=options.coordination == "once",
    )
    with _probes(supervisor.vitals, options):
        status = supervisor.run_forever()
    click.get_current_context().exit(status)


@contextmanager
def _abandoning_threads() -> Iterator[None]:
    """End the process after a run although functions that handlers gave to `asyncio.to_thread` go
    on: the interpreter would wait for them, but their attempts were given back."""
    before = threading.enumerate()
    yield
    began = [each for each in threading.enumerate() if each not in before]
    threads = [each for each in began if each.name.startswith("asyncio_")]
    deadline = time.monotonic() + FAREWELL
    for each in threads:
        each.join(max(0.0, deadline - time.monotonic()))
    left = sum(each.is_alive() for each in threads)
    if left:
        structlog.get_logger("pgtasker").warning("threads abandoned", count=left)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def _probes(ask: Any, options: Options) -> Probes:
    return Probes(ask, host=options.health_host, port=options.health_port, file=options.health_file)


COMMANDS = (run,)
