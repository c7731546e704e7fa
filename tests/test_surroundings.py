"""What is around the engine does not matter: hostile search paths, temporary tables, other installs
in the same database, the isolation level of the application, a read-only transaction."""

from __future__ import annotations

import pytest

from pgtasker import installer

from .support.databases import Database
from .support.session import Session

TRAPS = """
    create schema evil;

    do $$
    declare
        v_object record;
    begin
        for v_object in
            select
                p.proname,
                pg_get_function_identity_arguments(p.oid) as arguments,
                pg_get_function_result(p.oid) as result,
                case when p.prokind = 'f' then 'function' end as kind
            from pg_proc p
            where p.pronamespace = {schema}::regnamespace
                and p.prorettype <> 'trigger'::regtype
        loop
            execute format(
                'create function evil.%I(%s) returns %s language plpgsql as '
                '''begin raise exception ''''hijacked''''; end''',
                v_object.proname, v_object.arguments, v_object.result
            );
        end loop;
        for v_object in
            select c.relname from pg_class c
            where c.relnamespace = {schema}::regnamespace and c.relkind in ('r', 'v')
        loop
            execute format('create table evil.%I (hijacked int)', v_object.relname);
            execute format('create temporary table %I (hijacked int)', v_object.relname);
        end loop;
    end;
    $$;

    create function evil.never(a bigint, b bigint) returns boolean
        language plpgsql immutable as 'begin raise exception ''hijacked''; end';
    create operator evil.= (leftarg = bigint, rightarg = bigint, function = evil.never);
    create function evil.now() returns timestamptz
        language plpgsql as 'begin raise exception ''hijacked''; end';
"""


def _live_through_everything(db: Session) -> None:
    """A runner, a task with a failure, a retry, a pause, a cancel, and every look at them."""
    db.call(
        "register_workflow",
        definition={"name": "trap", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}]},
    )
    runner = db.register()
    task = db.start("trap", idempotency_key="k")
    [a] = db.claim(10, runner)
    db.fail(a, retryable=False)
    db.call("retry_task", task_id=task)
    [a] = db.claim(10, runner)
    db.call("extend_step", workflow_step_id=a.workflow_step_id, claim_id=a.claim_id, timeout="60 s")
    db.release(a)
    [a] = db.claim(10, runner)
    outcome = {
        "workflow_step_id": a.workflow_step_id,
        "claim_id": a.claim_id,
        "outcome": "complete",
        "results": {"n": 1},
    }
    answer = db.call("advance", runner_id=runner, outcomes=db.json([outcome]), max_steps=1)
    [b] = answer.claimed
    assert b["dependency_results"] == {"a": {"n": 1}}
    for verb in ("pause_task", "resume_task", "cancel_task"):
        db.call(verb, task_id=task)
    db.call("pause_queue", queue="default")
    db.call("resume_queue", queue="default")
    db.move_clock(10)
    assert db.call("heartbeat", runner_id=runner, held=[b["claim_id"]]) == [b["claim_id"]]
    db.call("maintain")
    _look(db, task)
    db.call("deregister_runner", runner_id=runner)


def _look(db: Session, task: int) -> None:
    """Everything that only reads."""
    for function in ("get_task", "get_task_steps", "get_task_history"):
        assert db.call(function, task_id=task)
    for function in ("get_step_readiness_status", "get_task_execution_context"):
        assert db.call(function, task_id=task)
    assert db.call("list_runners")
    assert db.call("list_queues")
    assert db.call("explain_step", workflow_step_id=db.step_id(task, "a"))
    assert db.call("get_setting", name="lease")
    assert db.call("check_consistency") == []


def test_a_hostile_search_path_is_harmless(own_database: Database):
    """Tables, functions and operators that bear our names stand before ours, and are not used."""
    db = own_database.main
    schema = own_database.schema
    quoted = db.one("select quote_literal(quote_ident(%s))", schema)
    db.run("set search_path = pg_catalog")
    db.run(TRAPS.replace("{schema}", quoted))
    db.run("set search_path = evil, pg_catalog, pg_temp")
    with pytest.raises(Exception, match="hijacked"):
        db.run("select clock()")
    _live_through_everything(db)


def test_an_empty_search_path_is_enough(own_database: Database):
    """Callers qualify the function; it finds the rest."""
    own_database.main.run("set search_path = ''")
    _live_through_everything(own_database.main)


def test_installs_in_one_database_do_not_meet(own_database: Database):
    """Same ids, same queues, same names: other tasks, runners, locks and channels."""
    one = own_database.main
    installer.install(one.conn, "second install", testing=True)
    other_database = Database(own_database.dsn, "second install")
    other = other_database.main
    for db in (one, other):
        db.define("a", "here" if db is one else "there")
    assert one.register() == other.register() == 1
    assert one.call("wake_up_channel", runner_id=1) != other.call("wake_up_channel", runner_id=1)
    task = one.start("here")
    assert other.claim(10, 1) == []
    with other.refused("P0002"):
        other.task(task)
    one.claim(1, 1)
    other.die()
    other_database.main = other_database.connect()
    for db in (one, other_database.main):
        for _ in range(3):
            db.move_clock(1)
            db.call("maintain")
    assert one.steps_of(task) == {"a": "in_progress"}
    assert [row.state for row in other_database.main.call("list_runners")] == ["lost"]
    for db in (one, other_database.main):
        db.assert_consistent()
    other_database.close()


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_a_task_starts_in_the_applications_transaction(database: Database, level: str):
    """At whatever isolation level, after the application read, and with a savepoint undone."""
    db, other = database.main, database.connect()
    db.define("a->b", steps={"a": {"skippable": True}})
    db.run(f"begin isolation level {level}")
    db.rows("select count(*) from tasks")
    other.start()
    db.run("savepoint one")
    db.start()
    db.run("rollback to savepoint one")
    kept = db.start(idempotency_key="k", bypass_steps=["a"])
    db.commit()
    assert kept in [step.task_id for step in db.claim(10)]
    assert db.one("select count(*) from tasks") == 2


def test_looking_needs_no_right_to_write(database: Database):
    """On a hot standby, or in a read-only transaction."""
    db = database.main
    task = db.run_with("a->b")
    db.fail(db.claim_only("a"))
    db.run("begin read only")
    _look(db, task)
    for view in ("task_list", "active_step_readiness_statuses", "active_task_execution_contexts"):
        assert db.rows(f"table {view}")
    db.commit()
