"""Whether unusual loads cost what usual ones do: `make bench-scaling`.

Responsible for running each comparison of loads.py in an install of its own, and for
results/scaling.md and scaling.json.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import structlog

from bench import decisions, engine, lines, loads, targets
from bench.loads import Comparison
from bench.proof import require_consistency

SETTINGS = {**targets.SETTINGS, "max_connections": "300"}  # two for each of a hundred runners
LOADS = {
    "graphs": loads.graphs,
    "queues": loads.queues_and_priorities,
    "backlogs": loads.backlogs,
    "settings": loads.settings,
    "idle": loads.idle_fleet,
}
UNCHECKED = {"backlogs"}  # too many tasks to check in a minute

EXPLANATION = """\
One run of each: the usual load first, then the other, in the same database of a default install.
Two clients that only call `advance`, 100 steps at a time, where nothing else is said.
`check_consistency()` finds nothing afterwards; it was not asked after the deep backlog."""


def measure(server: str, chosen: Sequence[str], size: float) -> list[Comparison]:
    found: list[Comparison] = []
    for name in chosen:
        print(f"{name} ...", flush=True)
        with engine.install(server) as dsn:
            lines.prepare(dsn)
            found += LOADS[name](dsn, size)
            if name not in UNCHECKED:
                with engine.connect(dsn) as conn:
                    require_consistency(conn)
    return found


def document(where: Mapping[str, str], found: Sequence[Comparison]) -> str:
    """The results of one run."""
    rows = ["# Unusual loads", "", "Made by `make bench-scaling`, which writes it anew.", ""]
    rows += [*(f"- {what}: {value}" for what, value in where.items()), "", EXPLANATION, ""]
    rows += ["| load | measured | usual | so | ratio |", "|---|---|--:|--:|--:|"]
    rows += [
        f"| {each.load} | {each.measured} | {each.usual:,.4g} | {each.other:,.4g} "
        f"| {each.other / each.usual if each.usual else float('inf'):.2f} |"
        for each in found
    ]
    return "\n".join([*rows, ""])


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--dsn", help="a server, as superuser (default: a private one)")
    parser.add_argument("--only", nargs="+", choices=LOADS, metavar="LOAD", help=", ".join(LOADS))
    parser.add_argument("--size", type=float, default=1.0, help="scale of all sizes (default: 1)")
    parser.add_argument("--results", type=Path, help="where to write, also of a part")
    given = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    private = engine.private_server(SETTINGS)
    with nullcontext(given.dsn) if given.dsn else private as server:
        where = decisions.conditions(server, (*targets.RECORDED, "max_connections"))
        found = measure(server, given.only or list(LOADS), given.size)
    where["runs"] = f"sizes x {given.size:g}"
    print(document(where, found))
    results = given.results or (None if given.only else decisions.RESULTS)
    if results:
        results.mkdir(parents=True, exist_ok=True)
        (results / "scaling.md").write_text(document(where, found))
        rows = [asdict(each) for each in found]
        (results / "scaling.json").write_text(json.dumps({**where, "loads": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
