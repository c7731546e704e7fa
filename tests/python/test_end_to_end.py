"""The promise of the README as a user meets it: psql starts a task, `pgtasker run` executes it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgtasker import Client, embedded, installer

from .six_steps import STEPS, SixSteps

START = """\
select pgtasker.create_task(
    name => 'six',
    namespace => 'tests',
    context => :'context',
    idempotency_key => 'from psql'
)
"""


@pytest.fixture
def six(empty_dsn: str, tmp_path: Path) -> Iterator[SixSteps]:
    """A database with an install, for runners of six steps."""
    with psycopg.connect(empty_dsn) as conn:
        installer.install(conn, "pgtasker")
    six = SixSteps(empty_dsn, tmp_path)
    yield six
    six.close()


def start_from_psql(six: SixSteps) -> int:
    """What a shell would do: no client of ours, named arguments."""
    command = [embedded.psql(), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
    settings = ["--set", "ON_ERROR_STOP=1", "--set", f"context={json.dumps(six.context)}"]
    done = subprocess.run(
        [*command, *settings, six.dsn],
        input=START + ";",
        env={**os.environ, "PGOPTIONS": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_task_from_psql_survives_the_runner_that_executes_it(six: SixSteps) -> None:
    """kill -9 in the middle of a step: the step runs again at the other runner, and only that."""
    six.run(1)
    task_id = start_from_psql(six)
    assert start_from_psql(six) == task_id, "the same key is the same task"
    six.open("first")
    six.until(lambda: six.begun == ["first", "left"])
    six.run(1)
    six.until(lambda: six.begun == ["first", "left", "right"])
    six.kill(1)
    six.open(*STEPS)
    six.until_complete(task_id)
    assert six.begun == sorted([*STEPS, "left"])
    with Client(six.dsn) as client:
        attempts = {step.name: step.attempts for step in client.get_task_steps(task_id)}
        assert attempts == {**dict.fromkeys(STEPS, 1), "left": 2}
        states = {runner.name: runner.state for runner in client.list_runners()}
        assert states == {"runner1": "lost", "runner2": "live"}
        assert client.check_consistency() == []
