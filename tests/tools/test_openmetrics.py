"""OpenMetrics text: another implementation reads from it what was said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pgtasker import openmetrics

from ..support.session import Session

ALERTS = Path(__file__).parents[2] / "examples" / "monitoring" / "alerts.yaml"


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


def busy(db: Session) -> None:
    """Something of everything that is counted: a success, a failure, and what waits."""
    task = db.run_with("a->b", b={"retry_limit": 1})
    assert db.settle(task, broken=["b"]) == "error"
    db.run_with("a")
    while not db.one("select count(*) from monitoring_metrics where kind = 'counter'"):
        db.wait(10)  # until nobody else on this server is in a transaction that began before


def test_the_view_is_read_by_another_implementation(db: Session) -> None:
    """Whatever the view says arrives; each name has one kind and one description."""
    busy(db)
    rows = db.rows("select name, kind, labels, value, description from monitoring_metrics")
    assert read(openmetrics.render(rows)) == {
        (row.name, tuple(sorted(row.labels.items()))): row.value for row in rows
    }
    assert len({row.name for row in rows}) == len({(r.name, r.kind, r.description) for r in rows})
    assert all(row.name.endswith("_total") == (row.kind == "counter") for row in rows)


def test_the_alert_rules_ask_for_metrics_that_there_are(db: Session) -> None:
    """Each name, and each label beside it, is one of the view."""
    busy(db)
    rows = db.rows("select name, labels from monitoring_metrics")
    known = {row.name for row in rows}
    labels = {(row.name, label) for row in rows for label in row.labels}
    rules = [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]
    assert len(rules) == len({rule["alert"] for rule in rules}) > 5
    for rule in rules:
        asked = re.findall(r"(pgtasker_\w+)(?:\{(\w+)(?:=|!=|=~)\")?", rule["expr"])
        assert asked, rule
        for name, label in asked:
            assert name in known, rule
            assert not label or (name, label) in labels, rule
