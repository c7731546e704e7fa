"""The demo's workflow: what is in the files of a directory?

Responsible for the DAG. The looking is left to `files`. Results stay small: they are kept in the
database; what is large goes from step to step through files in the workspace.

    walk ─┬─ count_lines ──────────────────────────────┐
          ├─ largest_files ────────────────────────────┤
          ├─ find_duplicates (fails at first) ─────────┼─ merge ── report
          └─ parse_python ─┬─ most_imported ───────────┤
                           ├─ longest_functions ───────┤
                           └─ undocumented ────────────┘
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pgtasker import RetryableError, Step, Workflow
from pgtasker.demo import files

TOP = 5
Json = dict[str, Any]

explore = Workflow(
    "explore_directory",
    namespace="demo",
    version="1.0.0",
    description="What is in the files of a directory?",
)


@explore.step(queue="demo")
def walk(context: Json) -> Json:
    """List the files."""
    found = files.walk(Path(context["directory"]), context["skip"])
    _save(context, "files", found)
    return {
        "files": len(found),
        "bytes": sum(size for _, size in found),
        "directories": len({Path(name).parent for name, _ in found}),
        "cut_off": len(found) == files.LIMIT,
    }


@explore.step(queue="demo")
def count_lines(context: Json, walk: Json, step: Step) -> Json:
    """Count the lines of every text file, by the ending of its name."""
    lines: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for path, _ in files.reported(step, _files(context)):
        number = files.count_lines(path)
        if number is not None:
            lines[path.suffix or "(none)"] += number
            count[path.suffix or "(none)"] += 1
    top = [[suffix, count[suffix], number] for suffix, number in lines.most_common(TOP)]
    return {"lines": lines.total(), "text_files": count.total(), "by_suffix": top}


@explore.step(queue="demo")
def largest_files(context: Json, walk: Json) -> Json:
    """Find the largest files."""
    largest = sorted(_load(context, "files"), key=lambda file: -file[1])[:TOP]
    return {"largest": [[files.printable(name), size] for name, size in largest]}


@explore.step(queue="demo", retry_limit=3)
def find_duplicates(context: Json, walk: Json, step: Step) -> Json:
    """Find files of the same content; the first attempt fails, as a network drive might."""
    if step.attempt == 1:
        raise RetryableError("the drive is busy (on purpose, to show a retry)", retry_after=1)
    groups = files.duplicates(list(files.reported(step, _files(context))))
    wasted = sum(size * (len(paths) - 1) for size, paths in groups)
    largest = sorted(groups, key=lambda group: -group[0] * (len(group[1]) - 1))[:TOP]
    base = Path(context["directory"])
    return {
        "groups": len(groups),
        "wasted_bytes": wasted,
        "largest": [
            [size, [files.printable(str(path.relative_to(base))) for path in paths[:3]], len(paths)]
            for size, paths in largest
        ],
    }


@explore.step(queue="demo", timeout=600)
def parse_python(context: Json, walk: Json, step: Step) -> Json:
    """Read every Python file with `ast`."""
    sources = [(path, size) for path, size in _files(context) if path.suffix == ".py"]
    base = Path(context["directory"])
    modules, unreadable = [], 0
    for path, _ in files.reported(step, sources):
        module = files.parse(path, base)
        if module is None:
            unreadable += 1
        else:
            modules.append(module)
    _save(context, "modules", modules)
    return {"modules": len(modules), "unreadable": unreadable}


@explore.step(queue="demo")
def most_imported(context: Json, parse_python: Json) -> Json:
    """Count in how many files each module is imported."""
    imports = Counter(name for module in _load(context, "modules") for name in module["imports"])
    return {"different": len(imports), "most": [list(pair) for pair in imports.most_common(TOP)]}


@explore.step(queue="demo")
def longest_functions(context: Json, parse_python: Json) -> Json:
    """Find the longest functions."""
    functions = [
        (function["lines"], f"{module['path']}:{function['line']}", function["name"])
        for module in _load(context, "modules")
        for function in module["functions"]
    ]
    longest = sorted(functions, key=lambda function: (-function[0], function[1]))[:TOP]
    return {"functions": len(functions), "longest": [list(function) for function in longest]}


@explore.step(queue="demo")
def undocumented(context: Json, parse_python: Json) -> Json:
    """Count the public functions without a docstring."""
    public = [
        function["documented"]
        for module in _load(context, "modules")
        for function in module["functions"]
        if not function["name"].startswith("_")
    ]
    return {"public": len(public), "undocumented": public.count(False)}


@explore.step(queue="demo", priority=10)
def merge(
    walk: Json,
    count_lines: Json,
    largest_files: Json,
    find_duplicates: Json,
    parse_python: Json,
    most_imported: Json,
    longest_functions: Json,
    undocumented: Json,
) -> Json:
    """Put the findings side by side."""
    return {
        "walk": walk,
        "lines": count_lines,
        "largest": largest_files,
        "duplicates": find_duplicates,
        "python": parse_python,
        "imports": most_imported,
        "functions": longest_functions,
        "docstrings": undocumented,
    }


@explore.step(queue="demo", priority=10)
def report(context: Json, merge: Json) -> Json:
    """Write the report."""
    return {"text": files.report(context["directory"], merge)}


def _save(context: Json, name: str, value: Any) -> None:
    """Written under another name first: a second attempt may run beside a first that hangs."""
    target = Path(context["workspace"]) / f"{name}.json"
    fresh = target.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.replace(target)


def _load(context: Json, name: str) -> Any:
    return json.loads((Path(context["workspace"]) / f"{name}.json").read_text())


def _files(context: Json) -> list[tuple[Path, int]]:
    base = Path(context["directory"])
    return [(base / name, size) for name, size in _load(context, "files")]
