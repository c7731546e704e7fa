"""What the demo's steps do with files, as plain functions that know no workflow."""

from __future__ import annotations

import ast
import hashlib
import os
import stat
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from pgtasker import Step

T = TypeVar("T")

LIMIT = 50_000  # files; the demo is to end while somebody watches
LARGEST_SOURCE = 2_000_000  # bytes; larger ones are data


def walk(directory: Path, skip: Iterable[str], limit: int = LIMIT) -> list[tuple[str, int]]:
    """Every regular file below the directory, with its size; links are not followed."""
    skipped, found = set(skip), []
    for parent, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if name not in skipped)
        for name in sorted(names):
            path = Path(parent, name)
            try:
                status = path.lstat()
            except OSError:
                continue  # it is gone, or closed to us
            if stat.S_ISREG(status.st_mode):
                found.append((str(path.relative_to(directory)), status.st_size))
                if len(found) == limit:
                    return found
    return found


def reported(step: Step, items: Sequence[T]) -> Iterator[T]:
    """The items, one by one; how far it is stands with the step about once a second."""
    last = monotonic()
    for done, item in enumerate(items):
        if monotonic() - last >= 0.5:
            last = monotonic()
            step.extend(progress={"done": done, "of": len(items)})
        yield item


def count_lines(path: Path) -> int | None:
    """The lines of a text file; None for anything else."""
    try:
        with path.open("rb") as file:
            lines = 0
            while chunk := file.read(1 << 20):
                if b"\0" in chunk:
                    return None
                lines += chunk.count(b"\n")
            return lines
    except OSError:
        return None


def duplicates(candidates: Iterable[tuple[Path, int]]) -> list[tuple[int, list[Path]]]:
    """Groups of files with the same content, each with the size of one; empty ones do not count."""
    by_size: defaultdict[int, list[Path]] = defaultdict(list)
    for path, size in candidates:
        if size:
            by_size[size].append(path)
    groups: defaultdict[tuple[int, bytes], list[Path]] = defaultdict(list)
    for size, paths in by_size.items():
        for path in paths if len(paths) > 1 else ():
            try:
                with path.open("rb") as file:
                    groups[size, hashlib.file_digest(file, "sha256").digest()].append(path)
            except OSError:
                continue
    return [(size, paths) for (size, _), paths in groups.items() if len(paths) > 1]


def parse(path: Path, base: Path) -> dict[str, Any] | None:
    """The imports and functions of a Python file; None if it cannot be read as one."""
    try:
        if path.stat().st_size > LARGEST_SOURCE:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    imports: set[str] = set()
    functions = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.add(node.module.partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append(
                {
                    "name": node.name,
                    "line": node.lineno,
                    "lines": (node.end_lineno or node.lineno) - node.lineno + 1,
                    "documented": ast.get_docstring(node, clean=False) is not None,
                }
            )
    return {
        "path": printable(str(path.relative_to(base))),
        "imports": sorted(imports),
        "functions": functions,
    }


def printable(name: str) -> str:
    """A file name as text that can be stored anywhere: not every file name is valid Unicode."""
    return os.fsencode(name).decode("utf-8", "replace")


def report(directory: str, found: dict[str, Any]) -> str:
    """The findings as text."""
    walked, lines, python = found["walk"], found["lines"], found["python"]
    documented = found["docstrings"]
    only_first = f" (only the first {LIMIT:,} files were looked at)" if walked["cut_off"] else ""
    sections = [
        f"{printable(directory)}{only_first}",
        f"{_count(walked['files'], 'file')} in "
        f"{_count(walked['directories'], 'directory', 'directories')}, "
        f"{_size(walked['bytes'])}; {_count(lines['lines'], 'line')} of text",
        _section(
            "Lines",
            [
                f"{number:>11,}  {suffix}, {_count(count, 'file')}"
                for suffix, count, number in lines["by_suffix"]
            ],
        ),
        _section(
            "Largest files",
            [f"{_size(size):>11}  {name}" for name, size in found["largest"]["largest"]],
        ),
        _section(
            f"Duplicates: {_count(found['duplicates']['groups'], 'group')}, "
            f"{_size(found['duplicates']['wasted_bytes'])} could be saved",
            [
                f"{_size(size):>11}  {count} times {', '.join(paths)}"
                for size, paths, count in found["duplicates"]["largest"]
            ],
        ),
    ]
    if python["modules"]:
        sections += [
            f"{_count(python['modules'], 'Python file')} parsed, "
            f"{python['unreadable']:,} could not be; {documented['undocumented']:,} of "
            f"{_count(documented['public'], 'public function')} without a docstring",
            _section(
                f"Most imported of {_count(found['imports']['different'], 'module')}",
                [f"{count:>11,}  {name}" for name, count in found["imports"]["most"]],
            ),
            _section(
                f"Longest of {_count(found['functions']['functions'], 'function')}",
                [
                    f"{length:>11,}  {'line' if length == 1 else 'lines'}: {name} ({place})"
                    for length, place, name in found["functions"]["longest"]
                ],
            ),
        ]
    return "\n\n".join(section for section in sections if section)


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([title, *lines]) if lines else ""


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _size(count: float) -> str:
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"
