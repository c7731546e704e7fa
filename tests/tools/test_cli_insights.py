"""The commands that look: lists, what is said of a task, statistics, diagrams, metrics."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pgtasker import Client, installer

from .test_cli import Command, data, invoke

pytestmark = pytest.mark.newest_only

FULFIL = {
    "namespace": "shop",
    "name": "fulfil",
    "version": "1.2.0",
    "steps": [
        {"name": "validate"},
        {"name": "charge", "depends_on": ["validate"], "retry_limit": 1},
        {"name": "pack", "depends_on": ["validate"]},
        {"name": "ship", "depends_on": ["charge", "pack"], "queue": "labels"},
    ],
}
REPORT = {"name": "report", "steps": [{"name": "collect"}]}


class Install(Command):
    """The command on an install, with words for a runner of its own; times are real."""

    def work(self, *broken: str, queue: str = "default") -> None:
        """Do everything that is ready in the queue; steps with these names fail for good."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("set search_path = pgtasker")
            runner = conn.execute("select register_runner('hand', %s)", [[queue]]).fetchone()
            assert runner
            while claimed := conn.execute(
                "select workflow_step_id, claim_id, step_name from claim_steps(%s, 100)", runner
            ).fetchall():
                for step, claim, name in claimed:
                    if name in broken:
                        error = json.dumps({"type": "Broken", "message": "no\x1b[2J\nway"})
                        call, values = "fail_step(%s, %s, %s, false)", [step, claim, error]
                    else:
                        call, values = "complete_step(%s, %s)", [step, claim]
                    conn.execute(f"select {call}".encode(), values)
            conn.execute("select deregister_runner(%s)", runner)

    def age(self, task: int, days: int) -> None:
        """As if the task had been created so many days ago."""
        with psycopg.connect(self.dsn) as conn:
            statement = "update pgtasker.tasks set created_at = now() - make_interval(days => %s)"
            conn.execute(f"{statement} where task_id = %s".encode(), [days, task])

    def count(self) -> None:
        """Count all that happened into the counters, as live runners do all the time; that waits
        for the oldest transaction of the server."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            query = """
                select progress.next_xact_id > max(log.xact_id)
                from pgtasker.rollup_progress progress, pgtasker.workflow_step_transitions log
                group by progress.next_xact_id
            """
            while conn.execute(query).fetchone() != (True,):
                conn.execute("update pgtasker.rollup_progress set rolled_up_at = '-infinity'")
                conn.execute("select pgtasker.maintain()")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGTASKER_DSN", "PGTASKER_SCHEMA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pgtasker(empty_dsn: str) -> Install:
    """The command, on a database with an install and two workflows."""
    with psycopg.connect(empty_dsn) as conn:
        installer.install(conn, "pgtasker")
    with Client(empty_dsn) as client:
        client.register_many([FULFIL, REPORT])
    return Install(empty_dsn)


@pytest.fixture
def tasks(pgtasker: Install) -> list[int]:
    """Tasks 1: complete, 2: in error, 3: waits for a queue that nobody serves, 4: not begun."""
    with Client(pgtasker.dsn) as client:
        first = client.start("shop/fulfil", tags=["vip"])
        pgtasker.work()
        pgtasker.work(queue="labels")
        second = client.start("shop/fulfil")
        pgtasker.work("charge")
        third = client.start("shop/fulfil")
        pgtasker.work()
        return [first, second, third, client.start("report")]


def listed(pgtasker: Command, *options: str) -> list[int]:
    return [task["task_id"] for task in data(pgtasker("list", *options, "--json"))]


def test_a_list_has_what_was_asked_for(pgtasker: Install, tasks: list[int]) -> None:
    """Filters by state, by what wants attention, by workflow and tag; the newest first."""
    first, second, third, fourth = tasks
    assert listed(pgtasker) == listed(pgtasker, "--all") == tasks[::-1]
    assert listed(pgtasker, "--active") == [fourth, third, second]
    assert listed(pgtasker, "--state", "complete", "--state", "pending") == [fourth, first]
    assert listed(pgtasker, "--attention") == [second]
    assert listed(pgtasker, "--attention", "--state", "pending") == [fourth, second]
    assert listed(pgtasker, "--namespace", "shop", "--active") == [third, second]
    assert listed(pgtasker, "--name", "report") == [fourth]
    assert listed(pgtasker, "--tag", "vip") == [first]


def test_a_list_goes_on_where_a_page_ended(pgtasker: Install, tasks: list[int]) -> None:
    """--before the last task of a page is the next page."""
    page = listed(pgtasker, "--limit", "3")
    assert page + listed(pgtasker, "--before", str(page[-1])) == tasks[::-1]


def test_a_list_is_of_a_time(pgtasker: Install, tasks: list[int]) -> None:
    """--since so long ago or a moment; --recent as long as the setting says; the shorter one."""
    first, second, third, fourth = tasks
    pgtasker.age(first, 31)
    pgtasker.age(second, 3)
    assert listed(pgtasker, "--recent") == [fourth, third, second]
    assert listed(pgtasker, "--since", "2d") == [fourth, third]
    assert listed(pgtasker, "--since", "1.5 w", "--recent") == [fourth, third, second]
    assert listed(pgtasker, "--since", "9999w") == tasks[::-1]
    assert listed(pgtasker, "--since", "2100-01-01") == []
    with Client(pgtasker.dsn) as client:
        client.set_setting("recent_days", "2")
    assert listed(pgtasker, "--recent") == [fourth, third]


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--since", "soon"),
        ("list", "--since", "2 fortnights"),
        ("list", "--since", "9" * 400 + "d"),
        ("list", "--before", "0"),
        ("list", "--limit", "0"),
        ("stats", "--by", "colour"),
        ("slow", "--limit", "101"),
        ("metrics", "--port", "99999"),
        ("metrics", "--port", "0", "--json"),
        ("diagram", "12", "--workflow", "x"),
        ("diagram", "shop/fulfil", "--workflow", "x"),
        ("diagram", "12", "--format", "svg"),
        ("top", "--interval", "0"),
    ],
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    """It is found before anything is connected."""
    result = invoke(*arguments, "--dsn", "host=/nowhere")
    assert (result.exit_code, result.stdout) == (2, "")


def test_an_unfinished_task_says_what_it_waits_for(pgtasker: Install, tasks: list[int]) -> None:
    """In the words of its execution context."""
    _, second, third, fourth = map(str, tasks)
    assert "\nnow: blocked_by_failures, blocked\n" in pgtasker("show", second).output
    assert "\nnow: has_ready_steps, healthy, waits for a runner\n" in pgtasker("show", third).output
    assert pgtasker("pause", fourth).exit_code == 0
    assert ", waits for to be resumed\n" in pgtasker("show", fourth).output
    shown = data(pgtasker("show", second, "--json"))
    assert shown["context"]["execution_status"] == "blocked_by_failures"
    assert shown["critical_path"] == []


def test_a_finished_task_says_what_took_its_time(pgtasker: Install, tasks: list[int]) -> None:
    """Each step says how long it waited and ran; the last line is the critical path."""
    text = pgtasker("show", str(tasks[0])).output
    duration = r"[\d.]+ \w+"
    for name in ("validate", "charge", "pack", "ship"):
        assert re.search(rf"✓ {name} +\d+  complete +1/\d +{duration} +{duration}\n", text)
    path = text.splitlines()[-1]
    assert re.match(rf"critical path: validate {duration}.*, (charge|pack) {duration}", path)
    assert "ship" in path
    assert "now:" not in text
    shown = data(pgtasker("show", str(tasks[0]), "--json"))
    steps = [step["name"] for step in shown["critical_path"]]
    assert [steps[0], steps[-1], len(steps)] == ["validate", "ship", 3]
    assert shown["context"] is None
    assert pgtasker("show", str(tasks[3])).output.count("critical path") == 0


def test_what_a_terminal_would_obey_is_not_printed(pgtasker: Install, tasks: list[int]) -> None:
    """A control sequence in an error is shown as what it is: text."""
    for what in (str(tasks[1]), f"{tasks[1]}/charge"):
        text = pgtasker("show", what).output
        assert "\x1b" not in text
        assert "Broken: no?[2J way" in text


def test_a_step_says_how_long_it_waited(pgtasker: Install, tasks: list[int]) -> None:
    """Beside how long it took."""
    text = pgtasker("show", f"{tasks[0]}/ship").output
    assert re.search(r"waited [\d.]+ \w+ in the queue, took [\d.]+ \w+", text)


def test_statistics_are_of_a_window(pgtasker: Install, tasks: list[int]) -> None:
    """What was done, how the install stands now, and a row for each workflow or step."""
    text = pgtasker("stats").output
    assert "\ntasks      4 created, 1 complete" in text
    assert "1 failed" in text
    assert re.search(
        r"^steps      9 complete \(9.0/h\), 10 attempts, 1 failed \(10 %\)$", text, re.M
    )
    assert re.search(r"^task took  half within [\d.]+ \w+, 95 % within ", text, re.M)
    assert "\ntasks      1 pending, 1 in progress, 1 in error\n" in text
    assert re.search(r"^steps      2 ready \(oldest [\d.]+ \w+\), 0 in progress, ", text, re.M)
    assert "1 failed for good" in text
    assert "\nrunners    0 live, 0 of them idle\n" in text
    assert re.search(r"^shop/fulfil +3 +1 +1 +[\d.]+ \w+", text, re.M)
    assert max(map(len, text.splitlines())) <= 80
    steps = pgtasker("stats", "--by", "step", "--namespace", "shop").output
    assert re.search(r"^shop/fulfil charge +3 +33 % +[\d.]+ \w+", steps, re.M)
    assert "report" not in steps
    found = data(pgtasker("stats", "--by", "step", "--since", "1d", "--limit", "2", "--json"))
    assert (found["analytics"]["failed_attempts"], found["health"]["exhausted_steps"]) == (1, 1)
    assert len(found["steps"]) == 2
    later = data(pgtasker("stats", "--since", "2100-01-01T00:00+00:00", "--json"))
    assert (later["analytics"]["attempts"], later["workflows"]) == (0, [])
    assert pgtasker("stats", "--since", "2100-01-01T00:00+00:00").exit_code == 0


def test_what_was_slow_is_listed(pgtasker: Install, tasks: list[int]) -> None:
    """Attempts with run and wait, or whole tasks with the step that most of the time went to."""
    text = pgtasker("slow").output
    assert re.search(
        rf"^{tasks[1]}/charge +shop/fulfil +1 error +\S+ \S+ +\S+ \w+ +\S+ \w+$", text, re.M
    )
    assert len(text.splitlines()) == 11
    assert max(map(len, text.splitlines())) <= 80
    assert len(data(pgtasker("slow", "--limit", "2", "--json"))) == 2
    whole = pgtasker("slow", "--tasks").output
    assert re.search(
        rf"^ *{tasks[0]} +shop/fulfil +complete +\S+ \S+ +\S+ \w+ +\w+ [\d.]+ %$", whole, re.M
    )
    [slowest] = data(pgtasker("slow", "--tasks", "--json", "--limit", "1"))
    assert slowest["task"]["task_id"] == slowest["path"][0]["workflow_step_id"] == tasks[0]
    assert pgtasker("slow", "--name", "report").output == "no attempt ended in that time\n"
    assert pgtasker("slow", "--name", "report", "--tasks").output == "no task ended in that time\n"


def test_a_task_is_drawn_with_its_states(pgtasker: Install, tasks: list[int]) -> None:
    """Also which steps made a finished one as long as it was; as Mermaid unless asked for DOT."""
    text = pgtasker("diagram", str(tasks[1])).output
    assert 'title: "task 2, shop/fulfil 1.2.0: error"' in text
    assert re.search(r'\["charge<br/>error 1/1"\]:::error', text)
    assert re.search(r'\["pack<br/>complete \d+ ms"\]:::complete', text)
    assert text.count(" --> ") + text.count(" ==> ") == 4
    finished = pgtasker("diagram", str(tasks[0]), "--format", "dot").output
    assert finished.startswith("digraph {\n")
    assert finished.count("[penwidth=3]") == 2
    assert "penwidth" not in pgtasker("diagram", str(tasks[2]), "--format", "dot").output


def test_a_workflow_is_drawn(pgtasker: Install, tasks: list[int], tmp_path: Path) -> None:
    """As its newest task has it, or as a file describes it; a choice is asked for where needed."""
    stored = pgtasker("diagram", "shop/fulfil").output
    assert 'title: "shop/fulfil 1.2.0"' in stored
    file = tmp_path / "fulfil.json"
    file.write_text(json.dumps(FULFIL))
    assert invoke("diagram", str(file)).output == stored
    file.write_text(json.dumps([FULFIL, REPORT]))
    refused = invoke("diagram", str(file))
    assert (refused.exit_code, "choose with --workflow from fulfil, report" in refused.stderr) == (
        1,
        True,
    )
    assert '"collect"' in invoke("diagram", str(file), "--workflow", "report").output
    assert "no workflow 'nix'" in invoke("diagram", str(file), "--workflow", "nix").stderr
    assert "no task of shop/nix" in pgtasker("diagram", "shop/nix").stderr
    assert "unknown task 999" in pgtasker("diagram", "999").stderr
    assert "no module 'no_such'" in pgtasker("diagram", "no_such").stderr


@pytest.mark.parametrize(
    "steps",
    [None, [], "abc", [1], [{"depends_on": []}], [{"name": "a"}, {"name": "a"}]],
    ids=str,
)
def test_what_is_no_graph_is_not_drawn(steps: Any, tmp_path: Path) -> None:
    """A file that nobody has checked yet: one line, no traceback."""
    file = tmp_path / "bad.json"
    file.write_text(json.dumps({"name": "bad", "steps": steps}))
    refused = invoke("diagram", str(file))
    assert (refused.exit_code, "has no list of steps" in refused.stderr) == (1, True)


def test_metrics_are_printed(pgtasker: Install, tasks: list[int]) -> None:
    """As OpenMetrics text or JSON; nothing of a payload is in them."""
    pgtasker.count()
    text = pgtasker("metrics").output
    families = {f.name: f for f in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    depth = {s.labels["queue"]: s.value for s in families["pgtasker_queue_depth"].samples}
    assert depth == {"default": 1, "labels": 1}
    failed = [s for s in families["pgtasker_attempts"].samples if s.labels["outcome"] == "error"]
    assert [(s.labels["workflow"], s.labels["step"], s.value) for s in failed] == [
        ("fulfil", "charge", 1)
    ]
    rows = data(pgtasker("metrics", "--json"))
    assert {row["name"].removesuffix("_total") for row in rows} == set(families)


@pytest.fixture
def served(pgtasker: Install) -> Iterator[str]:
    """The address at which `metrics --port` answers."""
    command = [sys.executable, "-m", "pgtasker", "--dsn", pgtasker.dsn, "metrics", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    yield process.stderr.readline().split()[-1]
    process.terminate()
    assert process.wait(20) == 0
    process.stderr.close()


def get(address: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_metrics_are_served(pgtasker: Install, served: str) -> None:
    """200 with the text, 404 elsewhere; SIGTERM is a clean end."""
    status, kind, text = get(served)
    assert (status, kind) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert text.endswith("\n# EOF\n")
    assert get(served.replace("/metrics", "/other"))[0] == 404


def test_metrics_come_again_after_the_database(pgtasker: Install, served: str) -> None:
    """503 with the reason while it cannot be reached; a connection that broke is not noticed."""
    name = psycopg.conninfo.conninfo_to_dict(pgtasker.dsn)["dbname"]
    others = psycopg.conninfo.make_conninfo(pgtasker.dsn, dbname="postgres")
    end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s"
    assert get(served)[0] == 200
    with psycopg.connect(others, autocommit=True) as conn:
        conn.execute(end, [name])
        assert get(served)[0] == 200
        conn.execute(f"alter database {name} allow_connections false".encode())
        conn.execute(end, [name])
        status, _, text = get(served)
        assert (status, text.count("\n"), "not currently accepting" in text) == (503, 1, True)
        conn.execute(f"alter database {name} allow_connections true".encode())
    assert get(served)[0] == 200


def test_a_port_that_is_taken_is_one_line(pgtasker: Install, served: str) -> None:
    """Exit status 1."""
    port = served.rpartition(":")[2].removesuffix("/metrics")
    refused = pgtasker("metrics", "--port", port)
    assert (refused.exit_code, "choose another one" in refused.stderr) == (1, True)


def test_completion_knows_names_and_tags(
    pgtasker: Install, tasks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Namespaces, workflows and tags of tasks; diagrams also of files."""

    def offered(*words: str) -> list[str]:
        monkeypatch.setenv("PGTASKER_DSN", pgtasker.dsn)
        monkeypatch.setenv("COMP_WORDS", " ".join(["pgtasker", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        monkeypatch.setenv("_PGTASKER_COMPLETE", "bash_complete")
        process = subprocess.run(
            [sys.executable, "-c", "from pgtasker.cli import main; main(prog_name='pgtasker')"],
            env=dict(os.environ),
            capture_output=True,
            text=True,
        )
        return [line for line in process.stdout.splitlines() if line]

    assert offered("list", "--namespace", "s") == ["plain,shop"]
    assert offered("stats", "--name", "re") == ["plain,report"]
    assert offered("list", "--tag", "v") == ["plain,vip"]
    assert offered("list", "--before", "1") == ["plain,1"]
    assert offered("diagram", "sh") == ["plain,shop/fulfil", "file,sh"]
    assert "plain,--attention" in offered("list", "--att")
