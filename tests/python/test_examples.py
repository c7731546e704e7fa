"""The examples run as they stand, in a database with a plain install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from pgtasker import embedded, installer

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def installed(empty_dsn: str) -> str:
    """The connection string of a database with pgtasker in its default schema."""
    with psycopg.connect(empty_dsn) as connection:
        installer.install(connection, "pgtasker")
    return empty_dsn


def run(*command: str | Path, dsn: str) -> str:
    """What a command prints that must succeed."""
    environment = {**os.environ, "PGTASKER_DSN": dsn, "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_quickstart_completes_its_task(installed: str):
    """One process starts a task, executes it, and shows the results."""
    printed = run(sys.executable, EXAMPLES / "quickstart.py", dsn=installed)
    assert "is complete: {'ship': {'payment': '42 EUR paid at attempt" in printed


def test_psql_alone_can_be_the_runner(installed: str):
    """From register_workflow to get_task in plain psql, with a failed attempt on the way."""
    command = [embedded.psql(), "--no-psqlrc", "--file", EXAMPLES / "sql_only.sql", installed]
    printed = run(*command, dsn=installed)
    assert ' complete | {"ship": {"parcel": "P-1"}}' in printed
    assert printed.rstrip().endswith("(0 rows)"), "check_consistency found something"
