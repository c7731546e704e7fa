"""The measurements still run; what they measure is not judged here."""

from __future__ import annotations

import json
import math

import pytest

from bench import decisions

from ..support.databases import Databases

pytestmark = pytest.mark.newest_only


@pytest.mark.parametrize("measure", decisions.MEASUREMENTS, ids=lambda measure: measure.__name__)
def test_each_measurement_gives_figures(server: Databases, measure: decisions.Measurement) -> None:
    """In a tiny size: every figure is a number, and the document shows it."""
    dsn = server.facts["dsn"]
    figures = measure(dsn, 0.005)
    assert figures
    assert all(math.isfinite(number) for one in figures for number in (*one.as_is, *one.otherwise))
    document = decisions.table(decisions.conditions(dsn), figures)
    assert all(f"| {one.measured} |" in document for one in figures)


def test_the_results_that_are_kept_are_of_all_measurements() -> None:
    """Each decision has figures, from one run."""
    kept = json.loads((decisions.RESULTS / "decisions.json").read_text())
    numbers = {figure["decision"] for figure in kept["figures"]}
    assert numbers == {f"{number:04}" for number in range(1, len(decisions.MEASUREMENTS) + 1)}
