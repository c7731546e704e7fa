"""OpenMetrics text: another implementation reads from it what was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pgtasker import openmetrics


@dataclass(frozen=True)
class Sample:
    """A row as the view has it."""

    name: str
    kind: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = "What it is."


def families(text: str) -> list[Any]:
    """The families of a text."""
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The samples of a text, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families(text)
        for sample in family.samples
    }


def test_each_family_is_announced_once_and_the_text_ends() -> None:
    """TYPE, UNIT and HELP stand before the samples of a family; # EOF ends the text."""
    text = openmetrics.render(
        [
            Sample("pgtasker_wait_seconds_total", "counter", 2.5, {"step": "b"}),
            Sample("pgtasker_queue_depth", "gauge", 7, {"queue": "default"}, "Ready steps."),
            Sample("pgtasker_wait_seconds_total", "counter", 0.25, {"step": "a"}),
            Sample("pgtasker_claims_at_risk", "gauge", 0),
        ]
    )
    assert text == (
        "# TYPE pgtasker_claims_at_risk gauge\n"
        "# HELP pgtasker_claims_at_risk What it is.\n"
        "pgtasker_claims_at_risk 0\n"
        "# TYPE pgtasker_queue_depth gauge\n"
        "# HELP pgtasker_queue_depth Ready steps.\n"
        'pgtasker_queue_depth{queue="default"} 7\n'
        "# TYPE pgtasker_wait_seconds counter\n"
        "# UNIT pgtasker_wait_seconds seconds\n"
        "# HELP pgtasker_wait_seconds What it is.\n"
        'pgtasker_wait_seconds_total{step="a"} 0.25\n'
        'pgtasker_wait_seconds_total{step="b"} 2.5\n'
        "# EOF\n"
    )


def test_nothing_is_an_empty_text() -> None:
    """Without metrics there is still an end."""
    assert openmetrics.render([]) == "# EOF\n"


def test_what_is_no_number_is_left_out() -> None:
    """NaN means absent; infinities are numbers."""
    samples = [
        Sample("a", "gauge", float("nan")),
        Sample("b", "gauge", float("inf")),
        Sample("c", "gauge", float("-inf")),
    ]
    assert read(openmetrics.render(samples)) == {("b", ()): float("inf"), ("c", ()): float("-inf")}


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a\\nb", 'a\\"} 1\n# EOF', "ünïcode 🦆"])
def test_no_name_breaks_the_text(name: str) -> None:
    """Quotes, backslashes and line ends in a label or a description are escaped."""
    text = openmetrics.render([Sample("a", "gauge", 1, {"queue": name}, name)])
    [family] = families(text)
    assert family.documentation == name
    assert family.samples[0].labels == {"queue": name}


text = st.text(st.characters(exclude_categories=["Cs"]))
labels = st.dictionaries(st.sampled_from(["queue", "namespace", "workflow", "step"]), text)


@given(
    st.dictionaries(
        labels.map(lambda each: tuple(sorted(each.items()))),
        st.floats(min_value=0, allow_nan=False),
        max_size=5,
    ),
    st.sampled_from(["gauge", "counter"]),
    text,
)
def test_another_implementation_reads_what_was_said(
    values: dict[tuple[tuple[str, str], ...], float], kind: str, description: str
) -> None:
    """Whatever the labels, the numbers and the words are."""
    name = "pgtasker_things_total" if kind == "counter" else "pgtasker_things"
    samples = [
        Sample(name, kind, value, dict(pairs), description) for pairs, value in values.items()
    ]
    expected = {(name, pairs): value for pairs, value in values.items()}
    assert read(openmetrics.render(samples)) == expected
