"""Whatever the public functions are given, they answer, or refuse with a clear error.

Each function gets values of its parameters' types from a fixed seed, in a database with tasks in
many states. A refusal has a SQLSTATE that says something about the values or the state, and words;
one that the engine raises has a detail and a hint as well. Nothing that was locked stays locked.
`PGTASKER_FUZZ` is how many calls each function gets instead of the usual few; with it what is
too large has 100 MB.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..support.databases import Database, Databases
from ..support.session import Session
from .nonsense import Nonsense

pytestmark = pytest.mark.newest_only

CALLS = int(os.environ.get("PGTASKER_FUZZ", "25"))
SURFACE = Path(__file__).parents[1] / "golden" / "surface.txt"
FUNCTIONS = re.findall(r"^function (\w+)\(", SURFACE.read_text(), re.MULTILINE)
# What a value or a state is to blame for; a mistake of the engine would show as another one.
ALLOWED = re.compile(r"TK00[1-4]|22...|54...|55000|P0002")
ARGUMENTS = """
    select
        coalesce(procedure.proargnames, '{}') as names,
        array(
            select format_type(argument, null)
            from unnest(procedure.proargtypes::oid[]) with ordinality as given (argument, place)
            order by given.place
        ) as types,
        procedure.pronargdefaults as defaults
    from pg_proc procedure
    where procedure.proname = %s and procedure.pronamespace = current_schema()::regnamespace
"""


@pytest.fixture(scope="module")
def world(server: Databases) -> Iterator[Database]:
    """A database with a bit of everything, for this module."""
    world = server.clone()
    db = world.main
    db.settle(db.run_with("a->b->c"), flaky=["b"])
    db.settle(db.start(), broken=["c"])
    db.call("pause_task", task_id=db.start())
    db.call("cancel_task", task_id=db.start())
    db.start(idempotency_key="default", run_at="2031-01-01")
    db.call("pause_queue", queue="default")
    db.call("resume_queue", queue="default")
    db.start()
    assert db.claim(1)
    yield world
    world.close()
    server.drop(world.dsn)


def locks(session: Session) -> list[Any]:
    """What this session has locked beyond its transaction."""
    return session.rows("select classid, objid from pg_locks where pid = pg_backend_pid()"
                        " and locktype = 'advisory' order by 1, 2")  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_whatever_it_is_given_a_function_answers_or_says_why_not(world: Database, function: str):
    """Never with an internal error, and never with a constraint or a cast of the engine's own."""
    session = world.main
    signature = session.row(ARGUMENTS, function)
    parameters = list(zip(signature.names, signature.types, strict=False))
    required = len(parameters) - signature.defaults
    nonsense = Nonsense(function)
    for _ in range(CALLS if parameters else 1):
        given = {
            name: (nonsense.of(kind), kind)
            for place, (name, kind) in enumerate(parameters)
            if place < required or nonsense.random.randrange(2)
        }
        before = locks(session)
        if not answers(session, function, given):
            assert locks(session) == before
    session.run("select pg_advisory_unlock_all()")


def answers(session: Session, function: str, given: dict[str, tuple[Any, str]]) -> bool:
    """Whether it answered; what it did is undone. A refusal must be a good one."""
    arguments = ", ".join(f'"{name}" => %({name})s::{kind}' for name, (_, kind) in given.items())
    values = {name: value for name, (value, _) in given.items()}
    said = None
    session.begin()
    try:
        session.conn.execute(f'select * from "{function}"({arguments})'.encode(), values or None)
    except psycopg.Error as error:
        said = error.diag
    finally:
        session.rollback()
    if said is None:
        return True
    call = f"{function}({ {name: str(value)[:300] for name, value in values.items()} })"
    about = f"{call}: {said.sqlstate} {said.message_primary} | {said.context}"
    assert ALLOWED.fullmatch(said.sqlstate or ""), about
    assert said.message_primary, about
    if "function _refuse(" in (said.context or ""):
        assert said.message_detail, about
        assert (said.message_hint or "").endswith("."), about
    return False


LARGE = '{{"text": "{}"}}'.format(
    "x" * (100_000_000 if "PGTASKER_FUZZ" in os.environ else 3_000_000)
)


@pytest.mark.parametrize(
    "call",
    [
        "select create_task('flow', %s)",
        "select count(*) from create_tasks('flow', array[%s]::jsonb[])",
        "select complete_step(1, 1, %s)",
        "select fail_step(1, 1, %s)",
        "select resolve_step(1, %s)",
        "select register_runner('runner', metadata => %s)",
        "select register_workflow(%s)",
    ],
)
def test_what_is_too_large_is_refused(database: Database, call: str):
    """By their size or by their content, and nothing of them is kept."""
    db = database.main
    db.run_with("a")
    db.claim_only("a")
    before = db.fingerprint()
    with pytest.raises(psycopg.Error) as refused:
        db.run(call, LARGE)
    assert re.fullmatch("22023|54000", refused.value.sqlstate or ""), refused.value
    assert len(str(refused.value)) < 10_000
    assert db.fingerprint() == before


def test_a_report_that_is_too_large_fails_its_step(database: Database):
    """And no other of its batch; the runner goes on."""
    db = database.main
    task = db.run_with("a b")
    a, b = sorted(db.claim(2), key=lambda step: step.step_name)
    batch = ", ".join(
        f'{{"workflow_step_id": {step.workflow_step_id}, "claim_id": {step.claim_id},'
        f' "outcome": "complete", "results": {results}}}'
        for step, results in ((a, LARGE), (b, "{}"))
    )
    db.run("select * from advance(%s, %s::jsonb, 0)", db.runner, f"[{batch}]")
    assert db.steps_of(task) == {"a": "error", "b": "complete"}


def test_the_server_has_nothing_worse_to_tell(server: Databases, world: Database):
    """Than errors: no panic, no crash of a server process."""
    if "data" not in server.facts:
        pytest.skip("the log of this server cannot be read from here")
    log = (Path(server.facts["data"]) / "log").read_text(errors="replace")
    assert not re.findall(r"^.*(?:PANIC|was terminated by signal|TRAP:).*$", log, re.MULTILINE)
