"""The doctor: each illness is found, and says what to do."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any, cast

import psycopg
import pytest
from click.testing import CliRunner

from pgtasker import installer
from pgtasker.cli import main
from pgtasker.doctor import Finding, Patient, connecting, examine, install, server, vacuum
from pgtasker.doctor.base import Check

from ..support.databases import Database

pytestmark = pytest.mark.newest_only  # what it asks is the same on every version


def found(database: Database, check: str) -> list[tuple[str, str]]:
    """Level, and text with advice, of what one check says."""
    findings = [each for each in examined(database) if each.check == check]
    return [(each.level, f"{each.text}: {each.advice}".rstrip(": ")) for each in findings]


def examined(database: Database) -> list[Finding]:
    return list(examine(database.dsn, database.schema))


def only(findings: list[tuple[str, str]], level: str, *words: str) -> None:
    [(said, text)] = findings
    assert said == level, text
    for word in words:
        assert word in text


def test_a_healthy_install_is_healthy(database: Database) -> None:
    """Everything is ok but what a server for tests lacks."""
    findings = examined(database)
    lacks = {"autovacuum", "durability", "code"}
    assert {each.check for each in findings if each.level != "ok"} == lacks
    assert len({each.check for each in findings}) == 23
    assert all(each.advice for each in findings if each.level != "ok")


def test_what_a_server_for_tests_lacks_is_told(database: Database) -> None:
    """A server, and an install, that nobody should work with."""
    only(found(database, "autovacuum"), "problem", "autovacuum off")
    only(found(database, "durability"), "problem", "fsync and full_page_writes off")
    [(level, text), _] = found(database, "code")
    assert (level, "any client can move its clock" in text) == ("warning", True)


def test_no_server_is_a_finding_without_a_password() -> None:
    """It says where it looked, and nothing else is tried."""
    [finding] = examine("postgresql://ann:s3cret-word@127.0.0.1:1/db", "pgtasker")
    assert (finding.check, finding.level) == ("connection", "problem")
    assert "host=127.0.0.1" in finding.advice
    assert "s3cret" not in f"{finding.text}{finding.advice}"


def test_a_missing_install_is_told_and_the_server_still_looked_at(empty_dsn: str) -> None:
    """What needs an install is left out."""
    findings = list(examine(empty_dsn, "pgtasker"))
    assert [f.advice for f in findings if f.check == "install"] == ["pgtasker install"]
    checks = {f.check for f in findings}
    assert "notifications" in checks
    assert "queues" not in checks


@pytest.mark.parametrize(
    ("version", "advice"), [("99.0.0", "upgrade the package"), ("0.0.1", "pgtasker upgrade")]
)
def test_another_version_is_told(database: Database, version: str, advice: str) -> None:
    """Older and newer ones have different cures."""
    db = database.main
    db.run("update settings set value = %s where name = 'schema_version'", version)
    only(found(database, "install"), "problem", version, advice)


@pytest.mark.breaks_promises("there is no whole install to ask")
def test_a_renamed_schema_and_missing_functions_are_told(own_database: Database) -> None:
    """`pgtasker upgrade` puts both right."""
    db = own_database.main
    db.run("drop function explain_step")
    level, text = found(own_database, "code")[0]
    assert (level, "explain_step" in text, "pgtasker upgrade" in text) == ("problem", True, True)
    db.run("alter schema pgtasker rename to moved")
    findings = examine(own_database.dsn, "moved")
    texts = [each.text for each in findings if each.check == "code" and each.level == "problem"]
    assert any("was renamed" in text for text in texts)


def test_a_lost_notification_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a pooler that hands each transaction to another session."""

    def shared(self: Patient) -> psycopg.Connection[Any]:
        self.connection.execute("unlisten *")
        return psycopg.connect(self.dsn, autocommit=True)

    monkeypatch.setattr(Patient, "another", shared)
    monkeypatch.setattr(connecting, "PATIENCE", 0.01)
    only(found(database, "notifications"), "warning", "pooler", "--coordination poll")


def test_what_keeps_dead_rows_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that stays open, and one that was prepared and forgotten."""
    other = database.connect("forgetful")
    other.begin()
    other.run("select 1")
    only(found(database, "transactions"), "ok")
    monkeypatch.setattr(vacuum, "OLD_TRANSACTION", timedelta(0))
    only(found(database, "transactions"), "warning", "forgetful, idle in transaction")
    name = f"forgotten {database.dsn}"
    other.run("prepare transaction '{}'".format(name.replace("'", "''")))
    try:
        only(found(database, "prepared transactions"), "warning", "forgotten")
    finally:
        other.run("rollback prepared '{}'".format(name.replace("'", "''")))


class Asked:
    """A server that answers like this."""

    def __init__(self, answer: list[Any]) -> None:
        self._answer = answer

    def ask(self, query: str, *arguments: object) -> list[Any]:
        return self._answer

    def settings(self, *names: str) -> dict[str, str]:
        return dict(self._answer)


def levels(check: Check, answer: list[Any]) -> list[tuple[str, str]]:
    """Level and text of what a check says of a server that answers like this."""
    return [(level, text) for level, text, _ in check(cast(Patient, Asked(answer)))]


def test_slots_are_told(database: Database) -> None:
    """Unused, far behind, or lost."""
    assert levels(vacuum.slots, [("standby", True, False, 5, "0 bytes")])[0][0] == "ok"
    assert levels(vacuum.slots, [("old", False, False, 0, "3 GB")]) == [
        ("warning", "not in use: old (3 GB of WAL)")
    ]
    assert levels(vacuum.slots, [("slow", True, False, 2_000_000, "1 GB")]) == [
        ("warning", "far behind: slow (by 2000000 transactions)")
    ]
    assert levels(vacuum.slots, [("gone", True, True, 0, "0 bytes")]) == [("warning", "lost: gone")]
    only(found(database, "replication slots"), "ok", "none is unused")


def test_standbys_that_keep_rows_are_told(database: Database) -> None:
    """By hot_standby_feedback."""
    assert levels(vacuum.standbys, [("far 10.0.0.7", 5_000_000), ("near", 3)]) == [
        ("warning", "keep dead rows for their queries: far 10.0.0.7 (by 5000000 transactions)")
    ]
    only(found(database, "standbys"), "ok")


def test_wrong_clocks_are_told(database: Database) -> None:
    """A minute is too much."""
    [(now,)] = database.main.conn.execute("select clock_timestamp()").fetchall()
    assert levels(connecting.clocks, [(now - timedelta(minutes=1),)])[0][0] == "warning"
    only(found(database, "clocks"), "ok", "0.0 s between")


def test_a_full_server_is_told(database: Database) -> None:
    """While there is still room for the doctor."""
    assert levels(server.connections, [(95, 97)]) == [("warning", "95 of 97 in use")]
    only(found(database, "connections"), "ok", "of 197 in use")


def test_the_end_of_transaction_ids_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the database that is nearest to it."""
    only(found(database, "wraparound"), "ok", "transactions from its last freeze")
    monkeypatch.setattr(vacuum, "NEAR_THE_END", 0)
    only(found(database, "wraparound"), "problem", "vacuum freeze")


def test_tables_full_of_dead_rows_are_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With when they were vacuumed last."""
    db = database.main
    task = db.run_with("a")
    db.call("watch_task", task_id=task, channel="c")
    db.settle(task)
    db.run("select pg_stat_force_next_flush()")
    only(found(database, "dead rows"), "ok", "no table")
    monkeypatch.setattr(vacuum, "MANY_DEAD", 0)
    told = [text for level, text in found(database, "dead rows") if level == "warning"]
    [text] = [text for text in told if text.startswith("task_watches has ")]
    assert re.search(r"\d+ dead rows beside \d+, last vacuum: .+: end what keeps them", text)


@pytest.mark.parametrize(
    ("setting", "level", "said"),
    [
        ("default_transaction_read_only=on", "problem", "read only"),
        ("default_transaction_isolation=serializable", "warning", "serializable: many calls"),
        ("idle_session_timeout=30s", "warning", "sessions that listen after 0:00:30"),
        ("pgtasker.notify=off", "warning", "only by looking"),
        ("idle_session_timeout=0", "ok", "nothing"),
    ],
)
def test_defaults_of_a_session_that_hurt_are_told(
    database: Database, setting: str, level: str, said: str
) -> None:
    """As a role or a database may have them."""
    dsn = psycopg.conninfo.make_conninfo(database.dsn, options=f"-c {setting}")
    findings = [each for each in examine(dsn, database.schema) if each.check == "sessions"]
    assert [(each.level, said in each.text) for each in findings] == [(level, True)]


def test_commits_that_do_not_wait_are_noted(database: Database) -> None:
    """A choice, not a mistake."""
    settings = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "off"}
    patient = cast(Patient, Asked([*settings.items()]))
    [(level, text, _)] = server.durability(patient)
    assert (level, "may lose the last moment" in text) == ("ok", True)


def test_a_pooler_that_shares_sessions_is_told(database: Database) -> None:
    """It gives our session to another while that is in a transaction."""
    only(found(database, "pooler"), "ok", "none in the way")
    patient = cast(Patient, Shared(database.dsn))
    [(level, text, advice)] = connecting.pooler(patient)
    assert (level, "another session" in text, "poll" in advice) == ("warning", True, True)


class Shared:
    """A patient whose session changes as soon as another one is busy."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=True)

    def ask(self, query: str) -> list[Any]:
        return self.connection.execute(query.encode()).fetchall()

    def another(self) -> psycopg.Connection[Any]:
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        return psycopg.connect(self.dsn, autocommit=True)


def test_what_takes_too_long_is_left_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading everything has a limit; the others go on."""
    monkeypatch.setattr(install, "PATIENCE", "0.001")
    only(found(database, "consistency"), "warning", "too much to read", "check_consistency()")


def test_work_that_nobody_does_is_told(database: Database) -> None:
    """A queue without a runner is a problem; a paused one may be meant so."""
    db = database.main
    db.run_with("a->b")
    only(found(database, "queues"), "problem", "default: 1 ready", "--queue default")
    db.call("pause_queue", queue="default")
    only(found(database, "queues"), "warning", "paused", "pgtasker resume default")
    db.call("resume_queue", queue="default")
    db.claim(1)
    only(found(database, "queues"), "ok")
    only(found(database, "runners"), "ok", "1 live, with 1 steps")


def test_runners_that_share_a_connection_are_told(database: Database) -> None:
    """As soon as a heartbeat comes from another session than the one that holds the lock."""
    db, other = database.main, database.connect("other")
    runner = db.register(name="pooled")
    only(found(database, "session locks"), "ok", "holds its own")
    other.call("heartbeat", runner_id=runner)
    only(found(database, "session locks"), "warning", "the lease alone", "pooled", "pooler")


def test_a_broken_rule_is_told(database: Database) -> None:
    """What check_consistency finds, the doctor shows."""
    db = database.main
    task = db.run_with("a->b")
    db.run("delete from step_queue")
    [(level, text)] = found(database, "consistency")
    assert (level, f"task {task}" in text) == ("problem", True)
    db.call("cancel_task", task_id=task)


def test_a_check_that_fails_harms_no_other(database: Database) -> None:
    """An install that is broken in one place is still examined elsewhere."""
    db = database.main
    db.run("alter function list_queues() rename to away")
    try:
        assert found(database, "queues")[0][1].startswith("cannot be checked: function")
        only(found(database, "consistency"), "ok")
    finally:
        db.run("alter function away() rename to list_queues")


def test_the_command_prints_a_line_for_each_and_fails_if_there_is_a_problem(
    empty_dsn: str,
) -> None:
    """Status 1, and how many there are, on standard error; --json says the same."""
    with psycopg.connect(empty_dsn) as conn:
        installer.install(conn, "pgtasker")
    arguments = ["--dsn", empty_dsn, "doctor"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.stderr == "pgtasker: 2 problems found\n"  # it is a server for tests
    assert all(line.startswith(("ok ", "problem ")) for line in result.stdout.splitlines())
    told = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    problems = [each["check"] for each in told if each["level"] == "problem"]
    assert problems == ["durability", "autovacuum"]
    assert len(told) == len(result.stdout.splitlines())
