"""Write pgtasker/client.py, the synchronous twin of pgtasker/async_client.py.

Responsible for the translation, word by word; `--check` only says whether the file is as it would
be written. Whatever reads differently in the two belongs into WORDS, never into the generated file.

    python tools/generate_sync_client.py [--check]
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "pgtasker"
SOURCE = PACKAGE / "async_client.py"
TARGET = PACKAGE / "client.py"

DOCSTRING = '''\
"""The synchronous client: start tasks, look at them, operate on them.

Generated from async_client.py by tools/generate_sync_client.py: change that file, then run it.
"""
'''
WORDS = {
    r"import asyncio\n": "import threading\n",
    r"asyncio\.sleep": "time.sleep",
    r"asyncio\.Lock": "threading.Lock",
    r"AsyncConnection": "Connection",
    r"AsyncClient": "Client",
    r"execute_async": "execute",
    r"__aenter__": "__enter__",
    r"__aexit__": "__exit__",
    r", from asyncio\.": ".",
    r"\basync (def|with)\b": r"\1",
    r"\bawait ": "",
}


def generated(source: str) -> str:
    """The synchronous module for the text of the asynchronous one."""
    body = re.sub(r'\A""".*?"""\n', DOCSTRING, source, flags=re.DOTALL)
    for word, replacement in WORDS.items():
        body = re.sub(word, replacement, body)
    return formatted(body)


def formatted(text: str) -> str:
    """The text as the project's formatter lays it out, its imports in order."""
    for command in ("check --select I --fix --quiet", "format --quiet"):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            *command.split(),
            "--stdin-filename",
            str(TARGET),
            "-",
        ]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


def main() -> int:
    """Write or check the file; 1 if a check finds a difference."""
    text = generated(SOURCE.read_text())
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() == text:
            return 0
        print(f"{TARGET} is not what {Path(__file__).name} writes: run it", file=sys.stderr)
        return 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
