"""OpenMetrics: metrics as the text that Prometheus and its like read.

Responsible for the format only: families, escaping, numbers. Which metrics there are, and what they
mean, is said by the view `monitoring_metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Protocol

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_TOTAL = "_total"
_EXACT = 2**53  # up to here every whole number is a float of its own
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Metric(Protocol):
    """One sample: a row of `monitoring_metrics`."""

    @property
    def name(self) -> str:
        """With the suffix `_total` if it is a counter."""

    @property
    def kind(self) -> str:
        """`gauge` or `counter`."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What tells it from the others of its name."""

    @property
    def value(self) -> float:
        """The number."""

    @property
    def description(self) -> str:
        """One sentence for whoever reads it."""


def render(metrics: Iterable[Metric]) -> str:
    """The text of these metrics, in order of their names and labels, up to the closing # EOF.

    A sample that is no number (NaN) is left out: to be absent is what that means to a reader.
    """
    known = [metric for metric in metrics if not math.isnan(metric.value)]
    known.sort(key=lambda metric: (metric.name, sorted(metric.labels.items())))
    lines: list[str] = []
    for name, family in groupby(known, key=lambda metric: metric.name):
        lines += _family(name, list(family))
    return "\n".join([*lines, "# EOF", ""])


def _family(name: str, samples: list[Metric]) -> Iterator[str]:
    first = samples[0]
    counter = first.kind == "counter"
    family = name.removesuffix(_TOTAL) if counter else name
    yield f"# TYPE {family} {first.kind}"
    if family.endswith("_seconds"):
        yield f"# UNIT {family} seconds"
    yield f"# HELP {family} {first.description.translate(_ESCAPED)}"
    sample = family + _TOTAL if counter else name
    for metric in samples:
        yield f"{sample}{_labels(metric.labels)} {_number(metric.value)}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{value.translate(_ESCAPED)}"' for name, value in sorted(labels.items()))
    return "{" + ",".join(pairs) + "}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    exact = abs(value) < _EXACT and value == int(value)
    return str(int(value)) if exact else repr(float(value))
