"""Documents as a reader follows them: their blocks are shown files, files to write, and commands.

Responsible for taking a page apart and for doing what it says. What a block is, is said by the
comment above it, or by itself:

    <!-- examples/quickstart.py -->       this file of the project, as it stands
    <!-- part of examples/quickstart.py -->   some lines of it
    <!-- examples/quickstart.py: ship, main -->   what it defines under these names
    <!-- not run: the reason -->          neither of these, and nothing to try
    <!-- fails -->                        commands of which one ends with another status than 0
    ```sh                                 commands, for one shell that lives as long as the page
    ```text                               what the commands before it print
    ```python, and a first line # flow.py    a file that the reader writes

In what is printed, times, durations and the width of columns may differ; ... stands for anything.
A page begins in an empty directory, or in a copy of an example (`<!-- in a copy of DIRECTORY -->`),
and with pgtasker installed, unless it says `<!-- begins without an install -->`.
"""

from __future__ import annotations

import ast
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds for one block; reached only by a test that fails
_BLOCK = re.compile(
    r"^(?:<!-- (?P<remark>[^\n]+?) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
_TITLE = re.compile(r"(?:#|//|--) (?P<file>[\w./-]+\.\w+)\n")
_COPY = re.compile(r"^<!-- in a copy of (?P<directory>\S+) -->$", re.M)
_DIFFERS = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d\d(:?\d\d)?|Z)?", "TIME"),
    (r"\b\d+(\.\d+)? ?(ms|s)\b", "DURATION"),
    (r"-{3,}", "---"),
    (r"[ \t]+", " "),
    (r" ?\n", "\n"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page; `remark` is the comment above it."""

    kind: str
    text: str
    remark: str
    line: int
    span: tuple[int, int]

    @property
    def shown(self) -> str | None:
        """The file of the project that it shows, or shows a part of."""
        name, _, _ = self.remark.removeprefix("part of ").partition(": ")
        return name if name and (ROOT / name).is_file() else None

    @property
    def content(self) -> str:
        """What the block must hold to show what it says."""
        assert self.shown is not None
        whole = (ROOT / self.shown).read_text()
        if self.remark.startswith("part of "):
            return self.text if self.text in whole else "(it has no such lines)\n"
        _, _, defined = self.remark.partition(": ")
        return _definitions(whole, defined.split(", ")) if defined else whole

    @property
    def file(self) -> str | None:
        """The name of the file that the reader writes."""
        title = _TITLE.match(self.text)
        return title["file"] if title and self.kind not in ("sh", "text") else None

    @property
    def is_run(self) -> bool:
        """Whether a reader types it."""
        return self.kind == "sh" and self.remark in ("", "fails")

    @property
    def is_explained(self) -> bool:
        """Whether it is one of what a block can be."""
        excused = self.remark.startswith("not run: ") or self.kind == "mermaid"
        return excused or bool(self.shown or self.file or self.is_run or self.kind == "text")


class Page:
    """One document."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path.relative_to(ROOT))
        self.text = path.read_text()

    def __str__(self) -> str:
        return self.name

    @property
    def needs_node(self) -> bool:
        """Whether its reader uses npm."""
        return any("npm install" in block.text for block in self.blocks if block.is_run)

    @property
    def begins_with_an_install(self) -> bool:
        """Whether the database holds pgtasker before the first command."""
        return "<!-- begins without an install -->" not in self.text

    @property
    def blocks(self) -> list[Block]:
        """Its fenced blocks, in order."""
        return [
            Block(
                kind=found["kind"],
                text=found["text"],
                remark=found["remark"] or "",
                line=self.text.count("\n", 0, found.start("kind")) + 1,
                span=found.span("text"),
            )
            for found in _BLOCK.finditer(self.text)
        ]

    @property
    def is_followed(self) -> bool:
        """Whether a reader has something to type."""
        return any(block.is_run for block in self.blocks)

    def shows(self) -> str:
        """The page as it would have to be to show the files of the project as they are."""
        blocks = [block for block in self.blocks if block.shown]
        return self._with([(block, block.content) for block in blocks])

    def _with(self, contents: list[tuple[Block, str]]) -> str:
        text = self.text
        for block, content in reversed(contents):
            start, end = block.span
            text = text[:start] + content + text[end:]
        return text

    def begin(self, directory: Path) -> Path:
        """Put into the directory what the page begins with; where its reader is then."""
        copied = _COPY.search(self.text)
        if copied is None:
            return directory
        shutil.copytree(ROOT / "examples", directory / "examples")
        return directory / copied["directory"]

    def follow(self, shell: Shell, said: Mapping[str, str] | None = None) -> str:
        """Do what it says; the page as it would have to be to say what happened.

        `said` replaces words of the commands by what holds on this machine. Raises AssertionError
        when a command does not end as it should.
        """
        answers: list[tuple[Block, str]] = []
        printed = ""
        for block in self.blocks:
            if block.shown or block.remark.startswith("not run: "):
                continue
            if block.file:
                target = shell.directory / block.file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
            elif block.is_run:
                printed = shell.run(
                    _replaced(block.text, said or {}), fails=block.remark == "fails"
                )
            elif block.kind == "text" and not _agrees(printed, block.text):
                answers.append((block, printed))
        return self._with(answers)


class Shell:
    """A bash that is told one block after the other; background jobs live until `close`."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env={**environment, "PWD": str(directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, commands: str, *, fails: bool = False) -> str:
        """What the commands print, without what bash says about jobs that were killed."""
        end = f"end of block {time.monotonic_ns()}"
        assert self._process.stdin is not None
        trap = "trap 'failed=$?' ERR; failed=0"
        text = f"{trap}\n{commands}\ntrap - ERR; echo; echo '{end}' $failed\n"
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()
        printed = re.sub(
            r"^bash: line \d+: +\d+ (Killed|Terminated).*\n", "", self._until(end), flags=re.M
        )
        before, _, status = printed.rpartition(f"\n{end} ")
        assert (status.strip() != "0") == fails, f"{commands}\n{printed}"
        return before

    def _until(self, end: str) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not re.search(re.escape(end).encode() + rb" \d+\n", said):
                late = not selector.select(max(0.0, deadline - time.monotonic()))
                more = b"" if late else os.read(self._process.stdout.fileno(), 65536)
                assert more, f"{'no end' if late else 'the shell ended'}:\n{said.decode()}"
                said += more
        return said.decode()

    def close(self) -> None:
        """Kill it and whatever it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def pages(*patterns: str) -> Iterator[Page]:
    """The documents whose paths match."""
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            yield Page(path)


def _definitions(source: str, names: list[str]) -> str:
    """The statements of a Python file that define these names, in their order there."""
    lines = source.splitlines(keepends=True)
    found = []
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node]
        known = {getattr(target, "id", getattr(target, "name", None)) for target in targets}
        if known & set(names):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            found.append("".join(lines[first - 1 : node.end_lineno]))
    return "\n\n".join(found)


def _replaced(text: str, words: Mapping[str, str]) -> str:
    for word, other in words.items():
        text = text.replace(word, other)
    return text


def _agrees(printed: str, expected: str) -> bool:
    wanted = ".*".join(re.escape(part) for part in _plain(expected).split("..."))
    return re.fullmatch(wanted, _plain(printed), re.S) is not None


def _plain(text: str) -> str:
    for pattern, word in _DIFFERS:
        text = re.sub(pattern, word, text)
    return text.strip()
