"""Node.js with the package `pg`: installed once in a test run, for runners in a second language."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from ..support.servers import Run

EXAMPLE = Path(__file__).parents[2] / "examples" / "runner_in_node"
OLDEST_NODE = 18
_VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}


def installed(run: Run) -> Path:
    """A directory with the example and the packages it needs; skips where they cannot be had."""
    directory = run.directory / "node"
    with run.lock("node"):
        if not directory.exists():
            making = run.directory / "node.making"
            shutil.copytree(EXAMPLE, making, ignore=shutil.ignore_patterns("node_modules"))
            problem = _install(making)
            if problem:
                (making / "problem").write_text(problem)
            making.rename(directory)
    if (directory / "problem").exists():
        pytest.skip((directory / "problem").read_text())
    return directory


def _install(directory: Path) -> str:
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "there is no node and npm on this machine"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(version.removeprefix("v").split(".")[0] or 0) < OLDEST_NODE:
        return f"node is {version.strip()}: the example needs {OLDEST_NODE} or newer"
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
    if done.returncode == 0:
        return ""
    said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    return f"npm cannot install the package pg: {' '.join(said[:2])}"


def environment(dsn: str, schema: str = "pgtasker") -> dict[str, str]:
    """Where the database is, in the variables that the package understands."""
    given = conninfo_to_dict(dsn)
    names = {variable: str(given[key]) for key, variable in _VARIABLES.items() if given.get(key)}
    if given.get("password"):
        names["PGPASSWORD"] = str(given["password"])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, **names, "PGTASKER_SCHEMA": schema}


class Node:
    """Runners in Node.js for one database; what they logged is in the directory."""

    def __init__(self, packages: Path, directory: Path, dsn: str, schema: str) -> None:
        self.packages = packages
        self.directory = directory
        self._environment = environment(dsn, schema)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, script: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a script of the example, or one that lies beside the tests."""
        beside = Path(__file__).with_name(script)
        if beside.exists() and not (self.packages / script).exists():
            (self.packages / script).symlink_to(beside)
        command: Sequence[str] = ["node", "--preserve-symlinks-main", script, *arguments]
        log = (self.directory / f"node{len(self.started)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                command,
                cwd=self.packages,
                env={**self._environment, **variables},
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process

    def said(self) -> str:
        """What they logged, one JSON object a line."""
        return "\n".join(log.read_text() for log in sorted(self.directory.glob("node*.log")))

    def close(self) -> None:
        """Kill those that still live."""
        for process in self.started:
            process.kill()
            process.wait()
