"""Other engines beside this one, on one server, in one run: `make bench-peers`.

Responsible for which engines, for the order of their trials, and for results/peers.md and
peers.json. An engine that cannot be installed, or that fails, is in the table with the reason.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import decisions, engine, targets
from bench.drivers import baseline
from bench.peers.environments import NotInstalledError, Peer, interpreter, versions
from bench.peers.trial import NotMeasuredError, Trial

PEERS = (
    Peer(
        "pgtasker",
        (),
        "select exists (select from pgtasker.tasks where not complete)",
        20_000,
        4_000,
        "this engine, through `Runner` with its defaults",
    ),
    Peer(
        "procrastinate",
        ("procrastinate", "psycopg[binary]"),
        "select exists (select from procrastinate_jobs where status in ('todo', 'doing'))",
        4_000,
        0,
        "async, concurrency 50; no graphs",
    ),
    Peer(
        "pgqueuer",
        ("pgqueuer", "asyncpg", "uvloop"),
        "select exists (select from pgqueuer where status in ('queued', 'picked'))",
        40_000,
        0,
        "asyncpg, uvloop, batches of 100; no graphs",
    ),
    Peer(
        "dbos",
        ("dbos",),
        "select exists (select from dbos.workflow_status where status in ('ENQUEUED', 'PENDING'))",
        4_000,
        400,
        "async, no limit of concurrency, polls every 0.1 s; steps of a function, no graphs",
    ),
    Peer(
        "absurd",
        ("absurd-sdk", "absurdctl", "psycopg[binary]"),
        "select exists (select from absurd.t_default where state in ('pending', 'running'))",
        6_000,
        800,
        "async, concurrency 50, its default poll of 0.25 s; steps of a function, no graphs",
    ),
    Peer(
        "pgflow",
        ("psycopg[binary]",),
        "select true",
        1,
        0,
        "its SQL from the package @pgflow/core",
        ("@pgflow/core",),
    ),
)

EXPLANATION = """\
Jobs and handlers that do nothing, 200 bytes in; a fresh database for each trial. The rates are from
the start of the first handler to when the engine's tables hold nothing unfinished, by two worker
processes. Pickup is from just before the call that starts a job to the start of its handler in one
idle worker, a job every 100 ms. A workflow is six steps, one after the other."""


@dataclass(slots=True)
class Trials:
    """What was found of one engine; what could not be measured is None, the reason in `trouble`."""

    name: str
    installed: str = ""
    fine_print: str = ""
    jobs: float | None = None
    steps: float | None = None
    pickup_p50: float | None = None
    pickup_p99: float | None = None
    trouble: list[str] = field(default_factory=list)


def measure(peer: Peer, server: str, size: float) -> Trials:
    """All trials of one engine; a failure ends one of them, not the others."""
    found = Trials(peer.name, fine_print=peer.fine_print)
    try:
        python = interpreter(peer)
        found.installed = versions(peer, python) if peer.python else "this checkout"
    except NotInstalledError as error:
        found.trouble.append(f"not installed: {error}")
        return found
    trial = Trial(peer, python, server)

    def drain_jobs() -> None:
        found.jobs = trial.drain("single", max(1, round(size * peer.tasks)))

    def drain_workflows() -> None:
        found.steps = 6 * trial.drain("linear", max(1, round(size * peer.workflows)))

    def pick_up() -> None:
        found.pickup_p50, found.pickup_p99 = trial.pickup(max(10, round(size * 100)))

    _try(found, "jobs", drain_jobs)
    if found.jobs is not None:
        if peer.workflows:
            _try(found, "workflows", drain_workflows)
        _try(found, "pickup", pick_up)
    return found


def _try(found: Trials, what: str, trial: Callable[[], None]) -> None:
    try:
        trial()
    except NotMeasuredError as error:
        found.trouble.append(f"{what}: {error}")


def document(where: Mapping[str, str], found: Sequence[Trials]) -> str:
    """The results of one run."""
    lines = ["# Beside other engines", "", "Made by `make bench-peers`, which writes it anew.", ""]
    lines += [*(f"- {what}: {value}" for what, value in where.items()), "", EXPLANATION, ""]
    lines += ["| engine | jobs/s | steps/s of workflows | pickup p50, p99, ms | driven |"]
    lines += ["|---|--:|--:|--:|---|"]
    for each in found:
        latency = f"{each.pickup_p50:.1f}, {each.pickup_p99:.1f}" if each.pickup_p50 else ""
        said = "; ".join([each.installed, each.fine_print, *(f"**{t}**" for t in each.trouble)])
        rates = " | ".join(
            "" if rate is None else f"{rate:,.0f}" for rate in (each.jobs, each.steps)
        )
        lines.append(f"| {each.name} | {rates} | {latency} | {said} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    names = [peer.name for peer in PEERS]
    parser.add_argument("--dsn", help="a server, as superuser (default: a private one)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--size", type=float, default=1.0, help="scale of all sizes (default: 1)")
    parser.add_argument("--results", type=Path, help="where to write, also of a part")
    given = parser.parse_args()
    chosen = [peer for peer in PEERS if peer.name in (given.only or names)]
    private = engine.private_server(targets.SETTINGS)
    with nullcontext(given.dsn) if given.dsn else private as server:
        where = decisions.conditions(server, targets.RECORDED)
        before = baseline.rows_per_second(server, 2)
        found = []
        for peer in chosen:
            print(f"{peer.name} ...", flush=True)
            found.append(measure(peer, server, given.size))
        after = baseline.rows_per_second(server, 2)
    where["baseline"] = f"{before:,.0f} rows/s before, {after:,.0f} after: {targets.BASELINE}"
    print(document(where, found))
    results = given.results or (None if given.only else decisions.RESULTS)
    if results:
        results.mkdir(parents=True, exist_ok=True)
        (results / "peers.md").write_text(document(where, found))
        rows = [asdict(each) for each in found]
        (results / "peers.json").write_text(json.dumps({**where, "engines": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
