"""Write the synchronous twins of the asynchronous modules of the client.

Responsible for the translation, word by word; `--check` only says whether the files are as they
would be written. Whatever reads differently in two twins belongs into WORDS, never into a generated
file; what cannot be translated word by word is in pgtasker/clients/twins.py.

    python tools/generate_sync_client.py [--check]
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "pgtasker"
SOURCES = (
    "async_client.py",
    "clients/async_access.py",
    "clients/async_listening.py",
    "clients/async_looking.py",
    "clients/async_reading.py",
    "clients/async_waiting.py",
    "queries/async_fetching.py",
    "runner/async_transactions.py",
    "testing/async_completions.py",
)

NOTE = "The synchronous twin is generated from this module by {tool}."
TWIN_NOTE = "Generated from {source}: change that file, then run {tool}."
TOOL = "tools/generate_sync_client.py"
WORDS = {
    r"\basynchronous(ly)?\b": r"synchronous\1",
    r"synchronously, any": "any",  # of what is the same either way
    r", from asyncio\.": ".",
    r"import asyncio\n": "import threading\n",
    r"\basyncio\.(Lock|Semaphore)\b": r"threading.\1",
    r"\bAbstractAsync": "Abstract",
    r"\b(_?)Async(?=[A-Z])": r"\1",
    r"\b(a)sync_(access|fetching|listening|looking|reading|waiting)\b": r"\2",
    r"\b(a)sync_(completions|transactions)\b": r"\2",
    r"\basynccontextmanager\b": "contextmanager",
    r"\b(execute|resolved|rest)_async\b": r"\1",
    r"\bawaited=True\b": "awaited=False",
    r"\b__a(enter|exit|iter)__\b": r"__\1__",
    r"\basync (def|for|with)\b": r"\1",
    r"\bawait ": "",
}


def target(source: Path) -> Path:
    """Where the twin of a module is."""
    return source.with_name(source.name.removeprefix("async_"))


def generated(source: Path) -> str:
    """The synchronous twin of an asynchronous module."""
    opening, note, body = source.read_text().partition(NOTE.format(tool=TOOL))
    if not note:
        raise ValueError(f"{source.name} does not say that it has a twin")
    for word, replacement in WORDS.items():
        opening, body = (re.sub(word, replacement, part) for part in (opening, body))
    twin_note = TWIN_NOTE.format(source=source.name, tool=TOOL)
    return formatted(opening + twin_note + body, target(source))


def formatted(text: str, path: Path) -> str:
    """The text as the project's formatter lays it out, its imports in order."""
    for command in ("check --select I --fix --quiet", "format --quiet"):
        ruff = [sys.executable, "-m", "ruff", *command.split(), "--stdin-filename", str(path), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


def main() -> int:
    """Write or check the files; 1 if a check finds a difference."""
    different = 0
    for source in (PACKAGE / name for name in SOURCES):
        path, text = target(source), generated(source)
        if path.exists() and path.read_text() == text:
            continue
        if "--check" in sys.argv[1:]:
            print(f"{path} is not what {Path(__file__).name} writes: run it", file=sys.stderr)
            different = 1
        else:
            path.write_text(text)
    return different


if __name__ == "__main__":
    sys.exit(main())
