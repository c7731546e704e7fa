"""The long run of every scenario: `make chaos` writes bench/results/reliability.md.

Responsible for the options, one server for those scenarios that do not disturb it, and the table.
A scenario that fails ends the run with its error, unless others are left to run.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shutil
import sys
import time
import traceback
from pathlib import Path

from ..support.servers import Run, find_sources
from .place import CannotHappenError, Measured, Place, Scenario
from .scenarios import SCENARIOS
from .servers import Server

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "reliability.md"
TEST = "tests/chaos/test_scenarios.py"


def main() -> int:
    """Run them; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of faults")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    chosen = [each for each in SCENARIOS if not given.only or each.name in given.only]
    source = next(each for each in find_sources([], []) if each.bindir is not None)
    run = Run.begin()
    rows, failed = [], False
    try:
        facts = run.server(source)
        shared = Server(Path(facts["bindir"]), run.directory / "chaos")
        for scenario in chosen:
            row, good = _run(scenario, shared, run.directory, given.seed, given.share)
            rows.append(row)
            failed = failed or not good
            _write(given.output, rows, given.seed, source.label)
    finally:
        run.end()
    return int(failed)


def _run(
    scenario: Scenario, shared: Server, base: Path, seed: int, share: float
) -> tuple[str, bool]:
    times = max(scenario.short, round(share * scenario.long))
    directory = base / scenario.name.replace(" ", "-")
    directory.mkdir()
    place = Place(shared.bindir, directory, seed, shared)
    at, good = time.monotonic(), True
    try:
        measured = scenario.run(place, times)
    except CannotHappenError as reason:
        measured = Measured(f"not run: {reason}")
    except Exception:  # noqa: BLE001 - the others are to be run all the same
        good = False
        last = traceback.format_exc()
        print(last, file=sys.stderr)
        measured = Measured(f"FAILED: {last.strip().splitlines()[-1][:200]}", False)
    shutil.rmtree(directory, ignore_errors=True)
    verdict = "met" if measured.met else "**missed**"
    print(
        f"{scenario.name}: {measured.text} ({verdict}, {time.monotonic() - at:.0f} s)", flush=True
    )
    name = scenario.name.replace(" ", "-")
    cells = [
        scenario.name,
        scenario.injection,
        scenario.target,
        measured.text,
        verdict,
        str(seed),
        f"`{TEST} -k {name}`",
    ]
    return f"| {' | '.join(cells)} |", good


def _write(output: Path, rows: list[str], seed: int, version: str) -> None:
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    heads = ["scenario", "injection", "target", "measured", "", "seed", "short version"]
    text = [
        "# What was broken on purpose, and what came of it",
        "",
        f"Made by `make chaos`, which writes it anew. {datetime.date.today()}, "
        f"PostgreSQL {version}, {where}, seed {seed}.",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        *rows,
    ]
    output.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    sys.exit(main())
