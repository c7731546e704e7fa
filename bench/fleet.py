"""Processes that do something at the same time, and the CPU that all of it costs.

Responsible for starting them together, for what they answer or fail with, and for counting the
seconds of processor that the server and its clients used. What they do is left to the drivers.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, TypeVar

from bench import engine

T = TypeVar("T")

PATIENCE = 60.0  # seconds for all to be ready
TICKS = os.sysconf("SC_CLK_TCK")

_spawning = multiprocessing.get_context("spawn")
_barrier: Barrier | None = None


def together(function: Callable[..., T], calls: Sequence[tuple[Any, ...]]) -> list[T]:
    """Make each call in a process of its own; answers what they answered, in the same order.

    A call begins with what is to be prepared and then says `all_ready()`. The first error of any is
    raised here.
    """
    barrier = _spawning.Barrier(len(calls))
    with ProcessPoolExecutor(
        len(calls), mp_context=_spawning, initializer=_begin, initargs=(barrier,)
    ) as pool:
        futures = [pool.submit(function, *arguments) for arguments in calls]
        return [future.result() for future in futures]


def all_ready() -> None:
    """Wait until every process of the fleet is; where there is no fleet, go on."""
    if _barrier is not None:
        _barrier.wait(PATIENCE)


def _begin(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def own_cpu() -> float:
    """Seconds of processor of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_of(process_id: int, *, with_ended: bool = False) -> float:
    """Seconds of processor of a process, with those of its children that have ended."""
    fields = _stat(process_id)
    return sum(map(int, fields[11 : 15 if with_ended else 13])) / TICKS if fields else 0.0


def peak_memory(process_id: int) -> float:
    """The most that a process has had in memory so far, in MB."""
    status = Path(f"/proc/{process_id}/status").read_text()
    [peak] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peak.split()[1]) / 1000


def server_cpu(conn: engine.Connection) -> float:
    """Those of all processes of the server, ended ones too; 0 if it is on another machine."""
    backend = _stat(conn.info.backend_pid)
    if not backend:
        return 0.0
    postmaster = int(backend[1])
    living = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return cpu_of(postmaster, with_ended=True) + sum(
        cpu_of(one) for one in living if _stat(one)[1:2] == [str(postmaster)]
    )


def _stat(process_id: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; none if there is no such process."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
