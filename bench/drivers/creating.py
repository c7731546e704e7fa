"""Tasks started in bulk by clients, and one by one by pgbench.

Responsible for the statements and for who sends them; what runs beside them is left to the rows.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench import engine, fleet

IN_ONE_CALL = 1000
CREATE = """
    select count(*)
    from create_tasks(
        name => %s,
        namespace => %s,
        contexts => %s::jsonb[],
        priority => %s,
        run_at => clock() + %s::interval
    )
"""
ONE_BY_ONE = "select create_task(name => '{name}', namespace => 'bench', context => '{context}');"


def in_bulk(dsn: str, name: str, tasks: int) -> tuple[float, float]:
    """Start so many, a thousand with each call; answers when it began and ended (monotonic)."""
    with engine.connect(dsn) as conn:
        create(conn, name, 1)
        fleet.all_ready()
        began = time.monotonic()
        create(conn, name, tasks)
        return began, time.monotonic()


def create(
    conn: engine.Connection,
    name: str,
    tasks: int,
    *,
    priority: int | None = None,
    delay: str | None = None,
) -> None:
    """Start so many, a thousand with each call; due after the delay."""
    text = json.dumps(engine.CONTEXT)
    for start in range(0, tasks, IN_ONE_CALL):
        contexts = [text] * min(IN_ONE_CALL, tasks - start)
        conn.execute(CREATE, [name, "bench", contexts, priority, delay])


def one_by_one(dsn: str, name: str, clients: int, seconds: float) -> float:
    """Tasks a second that so many connections start, each in a transaction of its own."""
    script = ONE_BY_ONE.format(name=name, context=json.dumps(engine.CONTEXT))
    said = pgbench(dsn, script, clients=clients, seconds=seconds)
    return transactions_per_second(said)


def pgbench(
    dsn: str,
    script: str,
    *,
    clients: int,
    seconds: float,
    variables: dict[str, object] | None = None,
) -> str:
    """What pgbench says about a script that so many connections repeat for so long."""
    program = shutil.which("pgbench", path=engine.programs()) or "pgbench"
    with tempfile.TemporaryDirectory(prefix="pgtasker-bench-") as directory:
        file = Path(directory) / "script.sql"
        file.write_text(script)
        command = [program, "--no-vacuum", "--protocol=prepared", f"--client={clients}"]
        command += [f"--jobs={min(clients, 2)}", f"--time={seconds:.0f}", f"--file={file}"]
        command += [f"--define={name}={value}" for name, value in (variables or {}).items()]
        done = subprocess.run([*command, dsn], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pgbench: {done.stderr.strip()}")
    return done.stdout


def transactions_per_second(said: str) -> float:
    found = re.search(r"tps = ([\d.]+)", said)
    if found is None:
        raise RuntimeError(f"pgbench said nothing of its rate: {said}")
    return float(found[1])
