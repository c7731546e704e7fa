"""Diagrams: whoever reads the text finds the graph again, whatever the names are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtasker.diagrams import COLOURS, Format, Node, draw

HOSTILE = [
    'a"]; s1["b',
    'a\\" b',
    "a\\",
    "%%{init: {}}%%",
    "--> end",
    "a\nclick s0 href",
    "<script>alert(1)</script>",
    "&quot;]",
    "#quot;",
    "[/a/b/]",
    "a/<br/>b",
    "__init__",
    "1. one",
    "`code`",
    "\\N \\G \\L",
    'x" } digraph { "y',
    "---\ntitle: no",
    "ünïcode 🦆",
    "end",
    " ",
]


@dataclass(frozen=True)
class Drawn:
    """What a reader finds: the title, each node's label in lines and its state, the edges."""

    title: str
    labels: dict[str, list[str]]
    states: dict[str, str]
    edges: list[tuple[str, str]]


def read_mermaid(text: str) -> Drawn:
    """Line by line, each of a kind that is known; labels hold nothing but plain characters."""
    opened, title, closed, kind, *lines = text.split("\n")
    assert (opened, closed, kind, lines.pop()) == ("---", "---", "flowchart TD", "")
    labels, states, edges = {}, {}, []
    for line in lines:
        if node := re.fullmatch(
            r'    (s\d+)\["((?:[A-Za-z0-9 _/]|#\d+;|<br/>)*)"](?::::(\w+))?', line
        ):
            parts = node[2].split("<br/>")
            labels[node[1]] = [re.sub(r"#(\d+);", lambda c: chr(int(c[1])), p) for p in parts]
            if node[3]:
                states[node[1]] = node[3]
        elif edge := re.fullmatch(r"    (s\d+) [-=]+> (s\d+)", line):
            edges.append((edge[1], edge[2]))
        else:
            assert re.fullmatch(r"    (classDef [a-z_]+|style s\d+) [\w:#,-]+", line), line
    quoted = re.fullmatch(
        r'title: "((?:[A-Za-z0-9 _./,:-]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*)"', title
    )
    assert quoted
    said = re.sub(
        r"\\(?:u(.{4})|U(.{8}))", lambda code: chr(int(code[1] or code[2], 16)), quoted[1]
    )
    return Drawn(said, labels, states, edges)


STRING = r'"((?:[^"\\]|\\.)*)"'


def read_dot(text: str) -> Drawn:
    """Line by line, strings as the grammar of Graphviz has them."""
    opened, title, default, *lines = text.split("\n")
    assert (opened, lines[-2:]) == ("digraph {", ["}", ""])
    assert default.startswith("    node [shape=box ")
    said = re.fullmatch(rf'    label={STRING} labelloc=t fontname="Helvetica"', title)
    assert said
    by_colour = {fill: state for state, (fill, _) in COLOURS.items() if state != "skipped"}
    labels, states, edges = {}, {}, []
    for line in lines[:-2]:
        if edge := re.fullmatch(r"    (s\d+) -> (s\d+)(?: \[penwidth=3])?", line):
            edges.append((edge[1], edge[2]))
            continue
        node = re.fullmatch(
            rf"    (s\d+) \[label={STRING}(?: fillcolor={STRING} color={STRING})?"
            r'(?: penwidth="3")?]',
            line,
        )
        assert node, line
        labels[node[1]] = _dot_lines(node[2])
        if node[3]:
            states[node[1]] = by_colour[node[3]]
    return Drawn("\n".join(_dot_lines(said[1])), labels, states, edges)


def _dot_lines(label: str) -> list[str]:
    """What Graphviz writes: first escapes, then entities."""
    words = {"\\n": "\n", "\\\\": "\\", '\\"': '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}
    assert not re.search(r"\\[^n\\\"]|&(?!(amp|lt|gt);)", label.replace("\\\\", ""))
    return re.sub(r"\\.|&\w+;", lambda found: words[found[0]], label).split("\n")


READERS = {"mermaid": read_mermaid, "dot": read_dot}
LANGUAGES: list[Format] = ["mermaid", "dot"]


def printable(text: str) -> str:
    """As a diagram may show it: on one line."""
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]", " ", text)


def diamond() -> list[Node]:
    return [
        Node("walk", state="complete", note="20 ms", marked=True),
        Node("left", ["walk"], "error"),
        Node("right", ["walk"], "in_progress", marked=True),
        Node("join", ["left", "right"], "pending", marked=True),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_diagram_says_the_graph_and_the_states(language: Format) -> None:
    """Every step, its note, its state, and every edge; nothing else."""
    drawn = READERS[language](draw(diamond(), "task 7", language))
    assert drawn == Drawn(
        "task 7",
        {"s0": ["walk", "20 ms"], "s1": ["left"], "s2": ["right"], "s3": ["join"]},
        {"s0": "complete", "s1": "error", "s2": "in_progress", "s3": "pending"},
        [("s0", "s1"), ("s0", "s2"), ("s1", "s3"), ("s2", "s3")],
    )


def test_marked_steps_stand_out_and_so_do_edges_between_them() -> None:
    """The way through marked steps is drawn thick, in both languages."""
    mermaid, dot = (draw(diamond(), "", language) for language in LANGUAGES)
    assert re.findall(r"(s\d) ==> (s\d)", mermaid) == [("s0", "s2"), ("s2", "s3")]
    assert re.findall(r"style (s\d) stroke-width:3px", mermaid) == ["s0", "s2", "s3"]
    assert re.findall(r"(s\d) -> (s\d) \[penwidth=3\]", dot) == [("s0", "s2"), ("s2", "s3")]
    assert re.findall(r'(s\d) \[.*penwidth="3"\]', dot) == ["s0", "s2", "s3"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_ordinary_name_is_readable_in_the_text(language: Format) -> None:
    """What needs no escape has none: the text is for people too."""
    assert '"send_mail2"' in draw([Node("send_mail2")], "shop/orders 1.2.0", language)
    assert '"shop/orders 1.2.0"' in draw([], "shop/orders 1.2.0", language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_a_name(name: str, language: Format) -> None:
    """As a step, as a note and as the title it is shown, and changes nothing else."""
    nodes = [Node(name, note=name), Node("other", [name])]
    drawn = READERS[language](draw(nodes, name, language))
    shown = printable(name)
    assert drawn == Drawn(shown, {"s0": [shown, shown], "s1": ["other"]}, {}, [("s0", "s1")])


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.lists(names, min_size=1, max_size=5, unique=True), names, st.sampled_from(LANGUAGES))
def test_whatever_the_names_the_graph_is_read_again(
    steps: list[str], title: str, language: Format
) -> None:
    """Labels and edges, for any names."""
    nodes = [Node(name, steps[:number]) for number, name in enumerate(steps)]
    drawn = READERS[language](draw(nodes, title, language))
    assert drawn.title == printable(title)
    assert drawn.labels == {f"s{n}": [printable(name)] for n, name in enumerate(steps)}
    assert drawn.edges == [(f"s{n}", f"s{m}") for m in range(len(steps)) for n in range(m)]
