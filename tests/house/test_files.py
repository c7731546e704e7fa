"""Rules for the files of the engine: the manifest, names, and what the parse trees say."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter

import pytest
from pglast import ast

from .source import APART, MANIFEST, SCHEMA, Source, fixes_search_path, manifest, sources

SOURCES = [pytest.param(source, id=source.name) for source in sources()]
every_file = pytest.mark.parametrize("source", SOURCES)

GROWING = (
    "tasks|workflow_steps|workflow_step_edges|workflow_step_transitions|task_transitions|step_queue"
    "|named_steps"
)
READ_ALL = {
    "_derived_readiness",
    "get_analytics_metrics",
    "get_slowest_steps",
    "get_slowest_tasks",
    "get_step_statistics",
    "get_system_health_counts",
    "list_queues",
}


def test_the_manifest_names_every_file_once():
    """A file that is in no manifest is installed nowhere."""
    files = {source.name for source in sources() if not source.name.startswith(APART)}
    assert Counter(manifest()) == Counter(files)


def test_the_manifest_holds_nothing_but_files_and_headings():
    """It is a table of contents that psql can read."""
    for line in MANIFEST.read_text().splitlines():
        assert re.fullmatch(r"\\ir \S+\.sql|--.*|", line), line


@every_file
def test_a_file_creates_what_it_is_named_after(source: Source):
    """Looking for an object is looking for a file; the tables at the root are grouped."""
    kind = source.path.relative_to(SCHEMA).parts[0]
    if kind in ("functions", "views"):
        assert source.creates == [source.path.stem]
    elif kind == "triggers":
        assert source.path.stem in source.creates
    grants = (ast.GrantStmt, ast.AlterFunctionStmt)
    assert source.creates or all(isinstance(each, grants) for each in source.statements)


@every_file
def test_a_file_opens_by_saying_what_it_is_for(source: Source):
    """The header of a file of one object begins with the object's name."""
    assert source.header, "no comment at the top"
    if source.path.parent != SCHEMA:
        assert source.header.startswith(f"{source.path.stem}: "), source.header
    assert source.header.splitlines()[0].rstrip().endswith((".", ":", ";", ",", "?")) or (
        len(source.header.splitlines()) > 1
    )


@every_file
def test_everything_parses(source: Source):
    """Every statement is PostgreSQL's SQL, and every PL/pgSQL body parses."""
    assert source.statements
    bodies = [function for function in source.functions if function.is_plpgsql]
    parsed = [tree for tree in source.plpgsql if "action" in tree["PLpgSQL_function"]]
    assert len(parsed) == len(bodies)


@every_file
def test_keywords_are_lower_case(source: Source):
    """As everywhere in the engine."""
    keywords = source.words(lambda token: token.kind != "NO_KEYWORD")
    assert not [word for word in keywords if word != word.lower()]


@every_file
def test_lines_are_at_most_100_columns_and_without_tabs(source: Source):
    """So that two files fit side by side."""
    lines = source.text.splitlines()
    assert not [line for line in lines if len(line) > 100 or "\t" in line or line != line.rstrip()]
    assert source.text.endswith("\n")
    assert not source.text.endswith("\n\n")


@every_file
def test_a_function_states_its_volatility_and_pins_its_search_path(source: Source):
    """A body that is resolved at run time must find the install's objects under any search_path;
    a standard body is bound when it is created, and a pin would only keep it from being inlined."""
    for function in source.functions:
        assert "volatility" in function.options, function.name
        if function.body is not None:
            assert fixes_search_path(function), function.name
        else:
            assert not function.sets, function.name


@every_file
def test_a_function_that_looks_up_what_grows_never_reads_all_of_it(source: Source):
    """A plan that was made while the table was small reads it from end to end ever after."""
    for function in source.functions:
        reads = re.search(rf"\b(from|join|update) ({GROWING})\b", function.body or "")
        settings = {one.name for one in function.sets}
        assert "enable_seqscan" in settings or not reads or function.name in READ_ALL, (
            f"{function.name} wants `set enable_seqscan = off`"
        )


@every_file
def test_a_function_is_short(source: Source):
    """About 60 lines; a longer one wants a helper, and a much longer one needs it."""
    for function in source.functions:
        if function.body is None:
            continue
        lines = function.body.count("\n")
        assert lines <= 90, f"{function.name} has {lines} lines"
        if lines > 60:
            warnings.warn(f"{function.name} has {lines} lines", stacklevel=1)


@every_file
def test_sql_is_static(source: Source):
    """No SQL is assembled from strings."""
    tree = json.dumps(source.plpgsql)
    assert "dynexecute" not in tree
    assert "dynfor" not in tree


@every_file
def test_the_schema_is_never_named(source: Source):
    """Any schema name serves, because no source names one; settings of a session are no schema."""
    assert "pgtasker" not in source.words(lambda token: token.name == "IDENT")


@every_file
def test_an_error_has_three_levels(source: Source):
    """Message, detail and hint, with an SQLSTATE that was chosen."""
    wanted = {"ERRCODE": 0, "MESSAGE": 1, "DETAIL": 2, "HINT": 3}
    for options in _raises(source):
        missing = {name for name, number in wanted.items() if number not in options}
        assert not missing, f"a raise without {missing}"


def _raises(source: Source) -> list[set[int]]:
    """The option types of each `raise exception` (one without options re-raises)."""
    found: list[set[int]] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            raised = node.get("PLpgSQL_stmt_raise")
            if raised is not None and raised.get("elog_level") == 21 and len(raised) > 2:
                given = raised.get("options", [])
                found.append({each["PLpgSQL_raise_option"].get("opt_type", 0) for each in given})
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(source.plpgsql)
    return found
