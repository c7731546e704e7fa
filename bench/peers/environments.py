"""Where the other engines live: an environment of its own for each, outside of the checkout.

Responsible for installing them from their packages, once, and for why one could not be. What is
installed is kept in $XDG_CACHE_HOME/pgtasker-bench-peers; remove that to have it anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 300.0  # seconds for one installation
VERSIONS = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    print(importlib.metadata.version(name))
"""


class NotInstalledError(Exception):
    """The engine cannot be had here."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine: what of its packages is needed, and how its tables show that work is left.

    `tasks` single jobs and `workflows` of six steps are few enough to be done in some seconds; 0:
    it has none. `fine_print` is what one must know of how it is driven.
    """

    name: str
    python: tuple[str, ...]
    unfinished: str
    tasks: int
    workflows: int
    fine_print: str
    node: tuple[str, ...] = ()


def interpreter(peer: Peer) -> Path:
    """The Python that can import the engine, installed if need be."""
    if not peer.python:
        return Path(sys.executable)
    place = directory(peer)
    python = place / "bin" / "python"
    done = place / ".installed"
    if done.exists() and done.read_text() == _wanted(peer):
        return python
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True)
    _run([str(python), "-m", "pip", "install", "--quiet", *peer.python])
    if peer.node:
        if not shutil.which("npm"):
            raise NotInstalledError("its package is one of npm, which is not on PATH")
        _run(["npm", "install", "--silent", "--prefix", str(place), *peer.node])
    done.write_text(_wanted(peer))
    return python


def directory(peer: Peer) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pgtasker-bench-peers" / peer.name


def versions(peer: Peer, python: Path) -> str:
    """The packages as they were installed."""
    names = [name.split("[")[0] for name in peer.python]
    found = _run([str(python), "-c", VERSIONS, *names]).splitlines()
    return ", ".join(f"{name} {version}" for name, version in zip(names, found, strict=True))


def _wanted(peer: Peer) -> str:
    return " ".join((*peer.python, *peer.node))


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{command[0]}: {error}") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise NotInstalledError(last)
    return done.stdout
