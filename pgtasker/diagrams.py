"""Diagrams of a graph of steps, as text that Mermaid or Graphviz draws.

Responsible for the two languages, and for names: whatever a name holds, it is a label in the
diagram and nothing else. Which nodes there are, and what is said of them, is left to the caller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Format = Literal["mermaid", "dot"]

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")

# The colours of a state: what fills a node, and its border. Text on it is black.
COLOURS: Mapping[str, tuple[str, str]] = {
    "pending": ("#f2f2f2", "#999999"),
    "in_progress": ("#cfe8ff", "#1f77b4"),
    "complete": ("#d5f0d0", "#2e8b2e"),
    "error": ("#ffd3d0", "#c0392b"),
    "cancelled": ("#fff0c2", "#b8860b"),
    "skipped": ("#fff0c2", "#b8860b"),
    "resolved_manually": ("#efd9f7", "#8e44ad"),
}


@dataclass(frozen=True, slots=True)
class Node:
    """One step: its name, the names of what it waits for, and what is said of it.

    A node with a `state` has its colours. `marked` nodes stand out, and so do edges between them.
    """

    name: str
    depends_on: Sequence[str] = ()
    state: str | None = None
    note: str = ""
    marked: bool = False


def draw(nodes: Sequence[Node], title: str, language: Format) -> str:
    """The text of a diagram; it ends with a line end. Edges to unknown names are left out."""
    write: Callable[[_Graph], Iterator[str]] = _mermaid if language == "mermaid" else _dot
    return "\n".join([*write(_Graph(nodes, title)), ""])


@dataclass(frozen=True, slots=True)
class _Graph:
    nodes: Sequence[Node]
    title: str

    def keys(self) -> dict[str, str]:
        """What stands for each name: no name is ever an identifier of the diagram."""
        return {node.name: f"s{number}" for number, node in enumerate(self.nodes)}

    def edges(self) -> Iterator[tuple[str, str, bool]]:
        """Parent, child, and whether both are marked."""
        keys = self.keys()
        marked = {node.name for node in self.nodes if node.marked}
        for node in self.nodes:
            for parent in node.depends_on:
                if parent in keys:
                    yield keys[parent], keys[node.name], {parent, node.name} <= marked

    def states(self) -> list[str]:
        """The states that nodes are in."""
        return [state for state in COLOURS if any(node.state == state for node in self.nodes)]


def _lines_of(node: Node) -> Iterable[str]:
    return [text for text in (node.name, node.note) if text]


# Mermaid. A label is read three times: by the grammar, as Markdown and as HTML. What none of them
# can mistake stands as it is, everything else as the number of its character.


_PLAIN = re.compile(r"[A-Za-z0-9]|(?<=[A-Za-z0-9])[ _/](?=[A-Za-z0-9])")


def _mermaid(graph: _Graph) -> Iterator[str]:
    yield "---"
    yield f"title: {_yaml(graph.title)}"
    yield "---"
    yield "flowchart TD"
    for key, node in zip(graph.keys().values(), graph.nodes, strict=True):
        label = "<br/>".join(_mermaid_text(text) for text in _lines_of(node))
        state = f":::{node.state}" if node.state in COLOURS else ""
        yield f'    {key}["{label}"]{state}'
    for parent, child, marked in graph.edges():
        yield f"    {parent} {'==>' if marked else '-->'} {child}"
    for state in graph.states():
        fill, border = COLOURS[state]
        yield f"    classDef {state} fill:{fill},stroke:{border},color:#000000"
    for key, node in zip(graph.keys().values(), graph.nodes, strict=True):
        if node.marked:
            yield f"    style {key} stroke-width:3px"


def _mermaid_text(text: str) -> str:
    known = _printable(text)
    return "".join(
        character if _PLAIN.match(known, place) else f"#{ord(character)};"
        for place, character in enumerate(known)
    )


def _yaml(text: str) -> str:
    """A quoted scalar without any character that Mermaid looks for before it reads YAML."""
    return '"' + re.sub(r"[^A-Za-z0-9 _./,:-]", _escape, _printable(text)) + '"'


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# Graphviz. A label is read twice: as a string of the grammar, and for escapes and entities.


def _dot(graph: _Graph) -> Iterator[str]:
    yield "digraph {"
    yield f'    label="{_dot_text(graph.title)}" labelloc=t fontname="Helvetica"'
    yield '    node [shape=box style="rounded,filled" fillcolor="#ffffff" fontname="Helvetica"]'
    for key, node in zip(graph.keys().values(), graph.nodes, strict=True):
        given = {"label": r"\n".join(_dot_text(text) for text in _lines_of(node))}
        if node.state is not None and node.state in COLOURS:
            given["fillcolor"], given["color"] = COLOURS[node.state]
        if node.marked:
            given["penwidth"] = "3"
        attributes = " ".join(f'{name}="{value}"' for name, value in given.items())
        yield f"    {key} [{attributes}]"
    for parent, child, marked in graph.edges():
        yield f"    {parent} -> {child}{' [penwidth=3]' if marked else ''}"
    yield "}"


def _dot_text(text: str) -> str:
    escapes = {"\\": r"\\", '"': r"\"", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return "".join(escapes.get(character, character) for character in _printable(text))


def _printable(text: str) -> str:
    """The text without control characters and halves of characters, in as many characters."""
    return _UNPRINTABLE.sub(" ", text)
