"""The command line: what it prints, where, and with which exit status."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from pgtasker import Client, installer
from pgtasker.cli import main
from pgtasker.cli.output import seconds

pytestmark = pytest.mark.newest_only  # what differs between servers is the business of others

WORKFLOW = {
    "namespace": "shop",
    "name": "fulfil",
    "version": "1.2.0",
    "steps": [
        {"name": "validate"},
        {"name": "charge", "depends_on": ["validate"], "queue": "payments", "retry_limit": 1},
        {"name": "ship", "depends_on": ["charge"], "skippable": True},
    ],
}
MODULE = """\
from pgtasker import Workflow

chain = Workflow("chain", namespace="t")

@chain.step
def one(context):
    return context["n"] + 1

@chain.step
def two(one):
    if one > 100:
        raise ValueError("too much")
    return one * 2
"""


@dataclass(frozen=True)
class Command:
    """The command on one database."""

    dsn: str

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        return invoke("--dsn", self.dsn, *arguments, stdin=stdin)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGTASKER_DSN", "PGTASKER_SCHEMA"):
        monkeypatch.delenv(name, raising=False)


def invoke(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)
    if result.exit_code == 1:
        assert result.stderr.startswith("pgtasker: ")
        assert result.stderr.count("\n") == 1
    return result


@pytest.fixture
def pgtasker(empty_dsn: str) -> Command:
    """The command, on a database with an install."""
    with psycopg.connect(empty_dsn) as conn:
        installer.install(conn, "pgtasker")
    return Command(empty_dsn)


@pytest.fixture
def task(pgtasker: Command, tmp_path: Path) -> str:
    """A started task of a registered workflow."""
    file = tmp_path / "fulfil.json"
    file.write_text(json.dumps(WORKFLOW))
    assert pgtasker("register", str(file)).output == "registered shop/fulfil 1.2.0\n"
    started = pgtasker("start", "shop/fulfil", '{"order": 7}', "--tag", "vip", "--key", "order-7")
    assert started.exit_code == 0
    return started.output.strip()


def data(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_every_command_explains_itself() -> None:
    """Each has a help text, and those that read have --json."""
    for name, command in main.commands.items():
        result = invoke(name, "--help")
        assert result.exit_code == 0
        assert command.help
        if name in ("list", "show", "why", "stats", "slow", "top", "metrics", "doctor"):
            assert "--json" in result.output


def test_install_twice_is_no_failure_and_uninstall_asks(empty_dsn: str) -> None:
    """Installing is idempotent; removing needs a yes."""
    assert "installed pgtasker" in invoke("install", "--dsn", empty_dsn).output
    again = invoke("install", "--dsn", empty_dsn)
    assert (again.exit_code, "already installed" in again.output) == (0, True)
    assert "pgtasker upgrade" in again.output
    assert invoke("uninstall", "--dsn", empty_dsn).exit_code == 1
    assert "uninstalled" in invoke("uninstall", "--yes", "--dsn", empty_dsn).output
    assert "nothing is installed" in invoke("uninstall", "--yes", "--dsn", empty_dsn).stderr


def test_upgrade_says_what_it_did(pgtasker: Command) -> None:
    """Also when there was nothing to do; --dry-run prints SQL, and no install is one line."""
    assert pgtasker("upgrade").output == "upgraded pgtasker 0.1.0 in schema 'pgtasker'\n"
    assert "create or replace function create_task(" in pgtasker("upgrade", "--dry-run").output
    refused = pgtasker("upgrade", "--schema", "nowhere")
    assert (refused.exit_code, "pgtasker install" in refused.stderr) == (1, True)
    with psycopg.connect(pgtasker.dsn) as conn:
        conn.execute("update pgtasker.settings set value = '99.0' where name = 'schema_version'")
    for command in ("upgrade", "install"):
        refused = pgtasker(command)
        assert (refused.exit_code, "upgrade the package" in refused.stderr) == (1, True)


def test_the_printed_sql_installs(empty_dsn: str) -> None:
    """`sql` and `install --dry-run` print the same script; running it is an install."""
    script = invoke("sql", "--schema", "Other one").stdout
    assert script == invoke("install", "--dry-run", "--schema", "Other one").stdout
    with psycopg.connect(empty_dsn) as conn:
        conn.execute(script.encode())
    listed = invoke("--schema", "Other one", "list", "--json", "--dsn", empty_dsn)
    assert data(listed) == []


def test_options_count_before_the_command_and_after_it(pgtasker: Command) -> None:
    """--dsn and --schema may stand on either side; the one after the command wins."""
    assert data(pgtasker("--schema", "pgtasker", "list", "--json")) == []
    assert pgtasker("--schema", "nowhere", "list").exit_code == 1
    assert data(pgtasker("--schema", "nowhere", "list", "--json", "--schema", "pgtasker")) == []


def test_a_started_task_is_listed_and_shown(pgtasker: Command, task: str) -> None:
    """What was given to `start` is what `list` and `show` print, as text and as JSON."""
    [listed] = data(pgtasker("list", "--namespace", "shop", "--tag", "vip", "--json"))
    assert (listed["name"], listed["idempotency_key"]) == ("fulfil", "order-7")
    assert "shop/fulfil" in pgtasker("list").output
    assert pgtasker("list", "--state", "complete").output == "no tasks\n"
    shown = data(pgtasker("show", task, "--json"))
    assert shown["task"]["context"] == {"order": 7}
    assert [step["name"] for step in shown["steps"]] == ["validate", "charge", "ship"]
    text = pgtasker("show", task).output
    assert "● · charge" in text
    assert "0 of 3 steps done" in text


def test_the_same_key_gives_the_same_task(pgtasker: Command, task: str) -> None:
    """An idempotency key starts one task, and other content under it is refused."""
    again = ("start", "shop/fulfil", '{"order": 7}', "--key", "order-7")
    assert data(pgtasker(*again, "--json")) == {"task_id": int(task)}
    other = pgtasker("start", "shop/fulfil", "-", "--key", "order-7", stdin='{"order": 8}')
    assert other.exit_code == 1
    assert task in other.stderr


def test_why_answers_in_words(pgtasker: Command, task: str) -> None:
    """A step is named by its id or by task and name."""
    by_name = data(pgtasker("why", f"{task}/charge", "--json"))
    assert by_name["reasons"][0]["reason"] == "waiting_for_parents"
    named, *explained = pgtasker("why", str(by_name["workflow_step_id"])).output.splitlines()
    assert named == f"step {by_name['workflow_step_id']}, charge of task {task}:"
    assert explained == [reason["explanation"] for reason in by_name["reasons"]]
    unknown = pgtasker("why", f"{task}/nix")
    assert "its steps are validate, charge, ship" in unknown.stderr


def test_why_answers_for_every_step_of_a_task(pgtasker: Command, task: str) -> None:
    """Steps that are over are left out, and those with the same reasons are named together."""
    assert pgtasker("resolve", f"{task}/validate").exit_code == 0
    answer = pgtasker("why", f"{task}/")
    assert [line for line in answer.output.splitlines() if line.endswith(":")] == [
        "charge:",
        "ship:",
    ]
    assert list(data(pgtasker("why", f"{task}/", "--json"))["reasons"]) == ["charge", "ship"]
    assert pgtasker("cancel", task).exit_code == 0
    assert pgtasker("why", f"{task}/").output == f"task {task} is cancelled: every step is over\n"


def test_a_step_is_shown_with_its_log(pgtasker: Command, task: str) -> None:
    """TASK/STEP: what it waits for, why, what happened to it, and its results."""
    assert pgtasker("resolve", f"{task}/validate", "--results", '{"by": "hand"}').exit_code == 0
    text = pgtasker("show", f"{task}/validate").output
    assert text.startswith(f"step validate of task {task}, shop/fulfil 1.2.0  resolved_manually\n")
    assert "leads to: charge\n" in text
    assert '\nresults\n  {"by": "hand"}\n' in text
    [entry] = data(pgtasker("show", f"{task}/validate", "--json"))["history"]
    assert (entry["from_state"], entry["to_state"]) == ("pending", "resolved_manually")
    assert "has no step 'nix'" in pgtasker("show", f"{task}/nix").stderr


def test_a_failure_is_shown_with_its_error_and_traceback(pgtasker: Command, task: str) -> None:
    """The error stands below the step in the drawing; the traceback with the step itself."""
    error = {"type": "ValueError", "message": "no\nway " * 99, "traceback": "Traceback\n  line"}
    with psycopg.connect(pgtasker.dsn, autocommit=True) as conn:
        conn.execute("set search_path = pgtasker")
        conn.execute("select register_runner('hand', '{default}')")
        conn.execute(
            "select fail_step(workflow_step_id, claim_id, %s, false) from claim_steps(1, 1)",
            [json.dumps(error)],
        )
        conn.execute("select deregister_runner(1)")
    lines = pgtasker("show", task).output.splitlines()
    [step] = [number for number, line in enumerate(lines) if "✗ validate" in line]
    assert "ValueError: no way no way" in lines[step + 1]
    assert "    Traceback\n      line\n" in pgtasker("show", f"{task}/validate").output


def on_terminal(columns: int, *arguments: str, **environment: str) -> str:
    """What the command prints on a terminal of that width."""
    controller, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pgtasker", *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**known, "TERM": "xterm-256color", **environment},
    )
    os.close(terminal)
    printed = b""
    with suppress(OSError):  # what Linux says at the end
        while piece := os.read(controller, 10_000):
            printed += piece
    os.close(controller)
    assert process.wait() == 0
    return printed.decode()


def test_a_task_fits_into_80_columns_and_has_colours_only_on_a_terminal(
    pgtasker: Command, tmp_path: Path
) -> None:
    """Long names are shortened, long errors folded; NO_COLOR is respected."""
    names = [f"a_step_with_quite_a_long_name_that_goes_on_and_on_{n}" for n in range(3)]
    steps = [{"name": names[0]}, *({"name": name, "depends_on": names[:1]} for name in names[1:])]
    file = tmp_path / "wide.json"
    file.write_text(json.dumps({"name": "wide", "steps": steps}))
    assert pgtasker("register", str(file)).exit_code == 0
    task = pgtasker("start", "wide").output.strip()
    with psycopg.connect(pgtasker.dsn) as conn:
        conn.execute("set search_path = pgtasker")
        conn.execute("select register_runner('hand', '{default}')")
        conn.execute(
            "select fail_step(workflow_step_id, claim_id, %s, false) from claim_steps(1, 1)",
            [json.dumps({"type": "ValueError", "message": "it is no good " * 50})],
        )
        conn.execute("select deregister_runner(1)")
    coloured = on_terminal(80, "--dsn", pgtasker.dsn, "show", task)
    assert "\x1b[31merror" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()
    assert max(map(len, plain)) <= 80
    assert any("…" in line for line in plain)
    assert sum("it is no good" in line for line in plain) == 3
    assert "\x1b[3" not in on_terminal(80, "--dsn", pgtasker.dsn, "show", task, NO_COLOR="1")
    assert "\x1b" not in pgtasker("show", task).output


def test_a_wide_fan_out_is_folded(pgtasker: Command, tmp_path: Path) -> None:
    """A hundred parallel steps take one line for each state, unless all are asked for."""
    names = [f"work_{number:02}" for number in range(100)]
    steps = [{"name": "split"}, *({"name": name, "depends_on": ["split"]} for name in names)]
    file = tmp_path / "fan.json"
    file.write_text(json.dumps({"name": "fan", "steps": steps}))
    assert pgtasker("register", str(file)).exit_code == 0
    task = pgtasker("start", "fan").output.strip()
    assert pgtasker("resolve", f"{task}/work_07").exit_code == 0
    text = pgtasker("show", task).output
    assert "╓ · work_00 … work_99" in text
    assert "99 pending" in text
    assert "╙ ✓ work_07 " in text
    assert max(map(len, text.splitlines())) < 80
    assert "work_50" in pgtasker("show", task, "--all").output


def test_operators_reach_tasks_steps_and_queues(pgtasker: Command, task: str) -> None:
    """Each verb is one call; who and why are in the log."""

    def state() -> tuple[str, bool]:
        shown = data(pgtasker("show", task, "--json"))["task"]
        return shown["state"], shown["paused"]

    assert pgtasker("pause", task, "--reason", "lunch", "--actor", "ann").exit_code == 0
    assert state()[1]
    assert pgtasker("resume", task).output == f"task {task}: resumed\n"
    assert pgtasker("pause", "payments").output == "queue payments: paused\n"
    assert pgtasker("resume", "payments").exit_code == 0
    resolved = pgtasker("resolve", f"{task}/validate", "--results", '{"by": "hand"}')
    assert resolved.exit_code == 0
    assert pgtasker("skip", f"{task}/ship").exit_code == 0
    assert pgtasker("cancel", task).exit_code == 0
    assert state() == ("cancelled", False)
    assert pgtasker("retry", task).exit_code == 1
    with psycopg.connect(pgtasker.dsn) as conn:
        query = "select reason, actor from pgtasker.get_task_history(%s) where actor = 'ann'"
        assert conn.execute(query, [task]).fetchall() == [("lunch", "ann")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("start", "shop/fulfil", "{not json"),
        ("start", "shop/fulfil", "{}", "--run-at", "soon"),
        ("why", "abc"),
        ("why", "12/", "34"),
        ("show", "12/"),
        ("retry", "payments"),
        ("show", "abc"),
        ("list", "--state", "done"),
        ("run",),
        ("nix",),
    ],
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    """What is wrong in the command itself is found before anything is connected."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "999"), "unknown task 999"),
        (("why", "999"), "unknown step 999"),
        (("cancel", "999"), "unknown task 999"),
        (("start", "nix"), "nix"),
        (("list", "--schema", "nowhere"), "nowhere"),
        (("run", "no_such_module"), "no module 'no_such_module'"),
        (("register", "no_such_module"), "no module 'no_such_module'"),
        (("register", "no_such.json"), "cannot read 'no_such.json'"),
        (("demo", "/no/such/directory"), "there is no directory '/no/such/directory'"),
    ],
)
def test_what_does_not_exist_is_one_line_and_status_1(
    pgtasker: Command, arguments: tuple[str, ...], said: str
) -> None:
    """No traceback: one line that names what was asked for."""
    result = pgtasker(*arguments)
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be parsed"),
        ("[]", "holds no workflow"),
        ('{"name": "x", "steps": []}', "steps"),
        ('{"name": "x", "steps": [{"name": "a", "depends_on": ["b"]}]}', "b"),
    ],
)
def test_a_bad_definition_is_one_line(
    pgtasker: Command, tmp_path: Path, content: str, said: str
) -> None:
    """Whether the file or the database finds the mistake, it is said in one line."""
    file = tmp_path / "bad.json"
    file.write_text(content)
    result = pgtasker("register", str(file))
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr


def test_no_server_is_one_line_without_a_password() -> None:
    """The line says where it was looked for, and never shows a password."""
    result = invoke("list", "--dsn", "postgresql://ann:secret@127.0.0.1:1/db")
    assert result.exit_code == 1
    assert "127.0.0.1" in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["doctor"],
        ["run", "tests.tools.secretive"],
        ["stats"],
        ["top", "--once"],
        ["metrics"],
        ["diagram", "1"],
    ],
)
@pytest.mark.parametrize("place", ["uri", "pairs", "broken", "PGPASSWORD"])
def test_no_command_ever_prints_a_password(
    command: list[str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in an error, not in a log, not in the traceback of a mistake of ours."""
    dsn = {
        "uri": "postgresql://ann:s3cret-word@127.0.0.1:1/db",
        "pairs": "host=127.0.0.1 port=1 user=ann password=s3cret-word",
        "broken": "host=127.0.0.1 password=s3cret-word nix",
        "PGPASSWORD": "host=127.0.0.1 port=1 user=ann",
    }[place]
    if place == "PGPASSWORD":
        monkeypatch.setenv("PGPASSWORD", "s3cret-word")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"a mistake with {dsn}, and s3cret-word if that is PGPASSWORD")

    if place == "PGPASSWORD":
        monkeypatch.setattr(psycopg, "connect", broken)
        monkeypatch.setattr("pgtasker.cli.run.load_workflows", broken)
    result = CliRunner().invoke(main, ["--dsn", dsn, *command])
    assert result.exit_code == 1
    assert "s3cret" not in result.output
    assert result.stderr


def test_completion_offers_tasks_and_steps(
    pgtasker: Command, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script says how to install it; what it asks back knows the database."""
    for shell in ("bash", "zsh", "fish"):
        printed = invoke("completion", shell).output
        assert f"pgtasker completion {shell}" in printed
        assert "_PGTASKER_COMPLETE" in printed
    assert invoke("completion", "zsh").output.startswith("#compdef pgtasker\n")

    def offered(*words: str, dsn: str = pgtasker.dsn) -> list[str]:
        monkeypatch.setenv("PGTASKER_DSN", dsn)
        monkeypatch.setenv("COMP_WORDS", " ".join(["pgtasker", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        monkeypatch.setenv("_PGTASKER_COMPLETE", "bash_complete")
        result = CliRunner().invoke(main, prog_name="pgtasker", standalone_mode=True)
        return [line.partition(",")[2] for line in result.output.splitlines() if line]

    assert offered("doc") == ["doctor"]
    assert offered("show", "") != []
    assert task in offered("retry", task[:1])
    assert offered("why", f"{task}/c") == [f"{task}/charge"]
    assert offered("start", "sh") == ["shop/fulfil"]
    assert offered("show", "", dsn="host=/nowhere") == []


def test_the_embedded_server_says_where_it_runs() -> None:
    """On a system without its means that is one clear line, not a failed import."""
    code = (
        "import sys; sys.modules['fcntl'] = None; "
        "from pgtasker.cli import main; main(['--dsn', 'embedded', 'list'])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("pgtasker: the embedded server runs on Linux and macOS")
    assert ended.stderr.count("\n") == 1


def test_a_closed_pipe_is_silent(pgtasker: Command, task: str) -> None:
    """`pgtasker ... | head -1`: nobody wants to read about it."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pgtasker", "--dsn", pgtasker.dsn, "show", task]
    with os.fdopen(writing, "wb") as gone:
        ended = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert ended.stderr == ""


def test_an_empty_directory_has_no_demo(tmp_path: Path) -> None:
    """It is said before any server is started."""
    result = invoke("demo", str(tmp_path))
    assert (result.exit_code, "has no files in it" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0004, "0 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (59.9, "59.9 s"),
        (61, "1 min 1 s"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations_are_words(value: float, words: str) -> None:
    """Short ones are precise, long ones are readable."""
    assert seconds(value) == words


@pytest.fixture
def runner(pgtasker: Command, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`pgtasker run` in a process of its own."""
    (tmp_path / "cli_chain.py").write_text(MODULE)
    process = subprocess.Popen(
        [sys.executable, "-m", "pgtasker", "run", "cli_chain"],
        cwd=tmp_path,
        env={**os.environ, "PGTASKER_DSN": pgtasker.dsn},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "runner registered" in line:
            break
    else:
        pytest.fail(
            f"the runner ended with {process.wait()} before it registered:\n{''.join(said)}"
        )
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def test_a_runner_runs_what_is_started_and_stops_when_told(
    pgtasker: Command, runner: subprocess.Popen[str]
) -> None:
    """`start --wait` prints the results and fails with the task; SIGTERM is a clean end."""
    done = pgtasker("start", "t/chain", '{"n": 1}', "--wait", "--timeout", "30", "--json")
    assert data(done)["results"] == {"two": 4}
    failed = pgtasker("start", "t/chain", '{"n": "x"}', "--wait", "--timeout", "0.01")
    assert "is still" in failed.stderr
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(20) == 0


LOADED_LATER = """\
import gc
from pgtasker import Workflow

later = Workflow("later", namespace="t")
journal = open("journal.txt", "w")  # and never closed

@later.step
def write():
    journal.write(f"frozen: {gc.get_freeze_count() > 10_000}")
"""


def test_a_runner_ends_without_looking_for_garbage_in_what_is_not_the_applications(
    pgtasker: Command, tmp_path: Path
) -> None:
    """What the application loaded is cleaned up as ever: its files are written to their end."""
    (tmp_path / "cli_later.py").write_text(LOADED_LATER)
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PGTASKER_DSN": pgtasker.dsn, "PYTHONPATH": root}
    for arguments in (
        ["register", "cli_later.py"],
        ["start", "t/later"],
        ["run", "cli_later.py", "--coordination", "once"],
    ):
        command = [sys.executable, "-m", "pgtasker", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "journal.txt").read_text() == "frozen: True"


LOOPS = """\
import asyncio
from pgtasker import Workflow

loops = Workflow("loops", namespace="t")

@loops.step
async def on_the_loop():
    return type(asyncio.get_running_loop()).__module__

@loops.step
def in_a_thread(on_the_loop):
    return on_the_loop

@loops.step(executor="process")
def in_a_process(in_a_thread):
    return in_a_thread
"""


def run_loops(pgtasker: Command, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, beside the module."""
    (place / "cli_loops.py").write_text(LOOPS)
    return subprocess.run(
        [sys.executable, "-m", "pgtasker", *arguments],
        cwd=place,
        env={**os.environ, "PGTASKER_DSN": pgtasker.dsn, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
    )


ON_UVLOOP = ["run", "cli_loops.py", "--coordination", "once", "--event-loop", "uvloop"]


@pytest.mark.parametrize("options", [[], ["--processes", "2"]], ids=["alone", "supervised"])
def test_the_event_loop_of_a_runner_may_be_uvloop(
    pgtasker: Command, tmp_path: Path, options: list[str]
) -> None:
    """Coroutines, threads and processes work on it, also under a supervisor."""
    for arguments in (["register", "cli_loops.py"], ["start", "t/loops"], [*ON_UVLOOP, *options]):
        done = run_loops(pgtasker, tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
    with Client(pgtasker.dsn) as client:
        [listed] = client.list_tasks()
        assert client.get_task(listed.task_id).results == {"in_a_process": "uvloop"}


def test_that_uvloop_is_not_installed_is_said(pgtasker: Command, tmp_path: Path) -> None:
    """With what to install."""
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    done = run_loops(pgtasker, tmp_path, *ON_UVLOOP)
    assert done.returncode == 2
    assert "pip install 'pgtasker[uvloop]', or leave --event-loop out" in done.stderr


def test_the_demo_runs_to_its_end(pgtasker: Command, tmp_path: Path) -> None:
    """On a small directory: a line for each change, a retry, the report, and what to try next."""
    (tmp_path / "a.py").write_text("import os, sys\n\ndef f():\n    return 1\n")
    (tmp_path / "b.py").write_text("import os\n")
    (tmp_path / "copy.py").write_text("import os\n")
    (tmp_path / "broken.py").write_text("def (\n")
    (tmp_path / os.fsdecode(b"odd \xff.bin")).write_bytes(b"\0\1")
    (tmp_path / "nowhere").symlink_to("/no/such/file")
    result = pgtasker("demo", str(tmp_path))
    assert result.exit_code == 0, result.stderr
    assert "find_duplicates: error (RetryableError" in result.output
    assert "find_duplicates: complete" in result.output
    assert "5 files in 1 directory, " in result.output
    assert "Duplicates: 1 group, " in result.output
    assert (
        "3 Python files parsed, 1 could not be; 1 of 1 public function without a docstring"
        in result.output
    )
    commands = result.output.partition("Try next")[2].strip().splitlines()
    assert len(commands) == 3
    assert all(" --dsn " in command for command in commands)
