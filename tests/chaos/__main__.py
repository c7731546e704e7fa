"""The long run of every scenario: `make chaos` writes what it measures into docs/reliability.md.

Responsible for the options, and for one server for those scenarios that do not disturb it. One that
fails does not end the run, but it decides the exit status.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import traceback
from pathlib import Path

from ..support.servers import Run, find_sources
from . import report
from .place import CannotHappenError, Measured, Place, Scenario
from .scenarios import SCENARIOS
from .servers import Server


def main() -> int:
    """Run them; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of faults")
    parser.add_argument("--page", type=Path, default=report.PAGE, help="whose table is renewed")
    given = parser.parse_args()
    chosen = [each for each in SCENARIOS if not given.only or each.name in given.only]
    source = next(each for each in find_sources([], []) if each.bindir is not None)
    run, failed = Run.begin(), False
    try:
        facts = run.server(source)
        shared = Server(Path(facts["bindir"]), run.directory / "chaos")
        for scenario in chosen:
            times = max(scenario.short, round(given.share * scenario.long))
            directory = run.directory / scenario.key
            directory.mkdir()
            measured = _run(scenario, times, Place(shared.bindir, directory, given.seed, shared))
            shutil.rmtree(directory, ignore_errors=True)
            if measured is None:
                failed = True
                continue
            row = report.row_of(scenario, measured, given.seed, source.label)
            report.renew(row, scenario.name, given.page)
    finally:
        run.end()
    return int(failed)


def _run(scenario: Scenario, times: int, place: Place) -> Measured | None:
    """What it measured; None if it failed, or cannot be run here."""
    at = time.monotonic()
    try:
        measured = scenario.run(place, times)
    except CannotHappenError as reason:
        print(f"{scenario.name}: not run: {reason}", flush=True)
        return None
    except Exception:  # noqa: BLE001 - the others are to be run all the same
        traceback.print_exc()
        print(f"{scenario.name}: FAILED", flush=True)
        return None
    verdict = "met" if measured.met else "missed"
    seconds = time.monotonic() - at
    print(f"{scenario.name}: {measured.text} ({verdict}, {seconds:.0f} s)", flush=True)
    return measured


if __name__ == "__main__":
    sys.exit(main())
