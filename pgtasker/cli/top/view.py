"""What a person has chosen to see in `top`, and what each key changes of it.

Responsible for keys and their meaning. What is drawn is left to `frame`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

SECTIONS = ("queues", "workflows", "steps")
COLUMNS = {"queues": 7, "workflows": 7, "steps": 6}  # how many each has, the name first
FIRST_SORT = {"queues": 1, "workflows": 3, "steps": 2}  # the number of a column
INTERVALS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds
PAGE = 10  # rows

_SEQUENCE = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|.", re.S)
_NAMES = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[C": "right",
    "\x1bOC": "right",
    "\x1b[D": "left",
    "\x1bOD": "left",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[Z": "back tab",
    "\x1b[H": "home",
    "\x1b[1~": "home",
    "\t": "tab",
    "\r": "enter",
    "\n": "enter",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\b": "backspace",
    "\x03": "interrupt",
    "\x04": "end of input",
    "\x0c": "redraw",
    "\x15": "erase",
}


def keys_in(typed: bytes) -> list[str]:
    """The names of the keys that a terminal sent; a character is its own name."""
    found = _SEQUENCE.findall(typed.decode(errors="ignore"))
    return [_NAMES.get(each, each) for each in found]


@dataclass(frozen=True, slots=True)
class View:
    """What is chosen; `typing` is a filter that is being typed, None when none is."""

    interval: float = 2.0
    section: str = SECTIONS[0]
    sort: tuple[tuple[str, int], ...] = tuple(FIRST_SORT.items())
    offset: int = 0
    filter: str = ""
    typing: str | None = None
    paused: bool = False
    done: bool = False

    def sorted_by(self, section: str) -> int:
        """The number of the column that the rows of a section are sorted by."""
        return dict(self.sort)[section]

    def after(self, key: str, rows: int) -> View:
        """The view after a key; `rows` is how many the chosen section has."""
        if key in ("interrupt", "end of input"):
            return replace(self, done=True)
        if self.typing is not None:
            return self._typed(self.typing, key)
        change = _CHANGES.get(key)
        if change is None:
            return self
        changed = change(self)
        return replace(changed, offset=max(0, min(changed.offset, rows - 1)))

    def _typed(self, text: str, key: str) -> View:
        if key == "enter":
            return replace(self, filter=text.strip(), typing=None, offset=0)
        if key == "escape":
            return replace(self, typing=None)
        if key == "backspace":
            return replace(self, typing=text[:-1])
        if key == "erase":
            return replace(self, typing="")
        return replace(self, typing=text + key) if len(key) == 1 and key.isprintable() else self

    def _choose(self, step: int) -> View:
        place = (SECTIONS.index(self.section) + step) % len(SECTIONS)
        return replace(self, section=SECTIONS[place], offset=0)

    def _sort(self, step: int) -> View:
        columns = dict(self.sort)
        columns[self.section] = (columns[self.section] + step) % COLUMNS[self.section]
        return replace(self, sort=tuple(columns.items()), offset=0)

    def _scroll(self, rows: int) -> View:
        return replace(self, offset=self.offset + rows)

    def _faster(self) -> View:
        shorter = [each for each in INTERVALS if each < self.interval]
        return replace(self, interval=max(shorter, default=self.interval))

    def _slower(self) -> View:
        longer = [each for each in INTERVALS if each > self.interval]
        return replace(self, interval=min(longer, default=self.interval))


_CHANGES: dict[str, Callable[[View], View]] = {
    "q": lambda view: replace(view, done=True),
    "p": lambda view: replace(view, paused=not view.paused),
    " ": lambda view: replace(view, paused=not view.paused),
    "/": lambda view: replace(view, typing=view.filter),
    "escape": lambda view: replace(view, filter="", offset=0),
    "tab": lambda view: view._choose(1),
    "back tab": lambda view: view._choose(-1),
    "right": lambda view: view._sort(1),
    "left": lambda view: view._sort(-1),
    "down": lambda view: view._scroll(1),
    "up": lambda view: view._scroll(-1),
    "page down": lambda view: view._scroll(PAGE),
    "page up": lambda view: view._scroll(-PAGE),
    "home": lambda view: replace(view, offset=0),
    "+": View._slower,
    "-": View._faster,
}
