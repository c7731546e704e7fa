"""The drawing of a graph: whoever reads it finds the graph again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtasker.cli.graph import ASCII, Line, Unit, draw

from ..support.graph import workflow

NODES = set("●║╓╙")
Parents = dict[str, list[str]]


def read(lines: list[Line]) -> Parents:
    """The graph as a person sees it, who knows nothing but the strokes.

    What comes down a column is a set of steps; a line from a step's mark to a lane adds the step to
    what comes down there; the step whose mark ends a lane has all that came down as its parents.
    """
    parents: Parents = {}
    coming: dict[int, set[str]] = {}  # what each column leads down
    bar: set[str] = set()  # the steps beside the bar so far
    above: set[str] = set()  # what comes down to the bar
    for line in lines:
        cells = line.lanes
        marks = [place for place, sign in enumerate(cells) if sign in NODES]
        if not marks:
            coming = {at: coming[at] for at, sign in enumerate(cells) if sign == "│"}
            continue
        (mark,) = marks
        if cells[mark] in "●╓":
            above, bar = coming.pop(mark, set()), set()
        bar |= set(line.steps)
        parents.update({step: sorted(above) for step in line.steps})
        if cells[mark] in "╓║":
            continue
        after = {at: coming[at] for at, sign in enumerate(cells) if sign in "│├┤┼" and at in coming}
        for direction in (-1, 1):
            for place in _line_from(cells, mark, direction):
                if cells[place] in "├┤┼":
                    after[place] = after[place] | bar
                elif cells[place] in "┬╮":
                    after[place] = set(bar)
        after[mark] = set(bar)
        coming = after
    return parents


def _line_from(cells: str, mark: int, direction: int) -> list[int]:
    """The places where a line from a mark touches lanes; a lane that it crosses is not touched."""
    touched = []
    place = mark + direction
    while 0 <= place < len(cells) and cells[place] != " ":
        if cells[place] not in "─│":
            touched.append(place)
        place += direction
    ends = {-1: "├", 1: "┤╮"}[direction]
    assert abs(place - mark) == 1 or cells[place - direction] in ends, "a line leads nowhere"
    return touched


def graph(edges: str) -> Parents:
    return {step["name"]: step.get("depends_on", []) for step in workflow(edges)["steps"]}


def sorted_graph(parents: Parents) -> Parents:
    return {name: sorted(above) for name, above in parents.items()}


@st.composite
def graphs(draw_from: st.DrawFn) -> Parents:
    names = [f"s{number}" for number in range(draw_from(st.integers(1, 9)))]
    return {
        name: draw_from(st.lists(st.sampled_from(names[:number]), unique=True)) if number else []
        for number, name in enumerate(names)
    }


SHAPES = {
    "linear": (
        "a->b->c",
        """\
        ● a
        ● b
        ● c
    """,
    ),
    "diamond": (
        "a->b->d a->c->d",
        """\
        ● a
        ╓ b
        ╙ c
        ● d
    """,
    ),
    "two tails": (
        "a->b->d a->c->e",
        """\
        ●─╮ a
        │ ● b
        │ ● d
        ● c
        ● e
    """,
    ),
    "skip": (
        "a->b->c a->c",
        """\
        ●─╮ a
        ├─● b
        ● c
    """,
    ),
    "apart": (
        "a->b c->d",
        """\
        ● a
        ● b

        ● c
        ● d
    """,
    ),
}


@pytest.mark.parametrize(("edges", "picture"), SHAPES.values(), ids=SHAPES)
def test_shapes_look_as_one_would_draw_them(edges: str, picture: str) -> None:
    """Small graphs, by eye."""
    lines = [f"{line.lanes} {' '.join(line.steps)}".strip() for line in draw(graph(edges))]
    assert lines == [line.strip() for line in picture.splitlines()[: len(lines)]]


def test_a_hundred_parallel_steps_take_one_lane() -> None:
    """They stand below each other beside a bar."""
    lines = draw(graph(" ".join(f"split->work{number}->join" for number in range(100))))
    assert {line.lanes for line in lines} == {"●", "╓", "║", "╙"}


def test_folded_steps_share_a_line() -> None:
    """The caller says which steps of a unit are told apart."""

    def fold(unit: Unit) -> list[Unit]:
        return [unit[:1], unit[1:]] if len(unit) > 2 else [(name,) for name in unit]

    folded = draw(graph("a->b->e a->c->e a->d->e"), fold)
    assert [(line.lanes, line.steps) for line in folded] == [
        ("●", ("a",)),
        ("╓", ("b",)),
        ("╙", ("c", "d")),
        ("●", ("e",)),
    ]


def test_every_stroke_has_an_ascii_stand_in() -> None:
    """A terminal that knows no box drawing gets a picture too."""
    lines = draw(graph("a->b a->c a->d->e b->e a->e c->f b->f g"))
    assert "".join(line.lanes for line in lines).translate(ASCII).isascii()


@given(graphs())
def test_the_drawing_says_the_graph_and_nothing_else(parents: Parents) -> None:
    """Every edge can be read from the strokes, and no other can."""
    assert read(draw(parents)) == sorted_graph(parents)
