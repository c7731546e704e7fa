"""Text is never anything but text: what ends a string, a name or a format elsewhere, tried in every
place of every argument of every public function that holds text.

Each call is compared with the same call with a harmless word in that place. Either it has the same
effect, with this text where that has the word, or it is refused in words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from pgtasker import Client, PgtaskerError, installer, surface, upgrader
from pgtasker.doctor import examine

from .calls import World, arguments, populate
from .installs import Install

pytestmark = pytest.mark.newest_only

WORD = "harmless"
TEXTS = [
    "'",
    '"',
    "'; drop table canary; --",
    '"; drop table canary; --',
    "$$; drop table canary; $$",
    "\\'; drop table canary; --",
    "' || (select pg_sleep(60)) || '",
    "') or true --",
    "%s %I %L %1$s %%",
    "{schema}.%(name)s",
    "$1",
    "/* --",
    "E'\\x27' U&'\\0027'",
    "\u02bc \u2019 \uff07 \u202e",
    '{"a": "b"}',
    '{a,"b",null}',
    "(1,2)",
    "a.b.*",
    "\\",
    "\r\n\\! true\t",
]
ALLOWED = re.compile(r"TK00[1-4]|22...|54...|55000|P0002")
# Text for a parameter of another type: some of it is a time after all.
TYPED = ("run_at", "since", "timeout", "delay", "retry_after", "older_than", "patience")
JSON = ("definition", "context", "results", "error", "metadata", "progress", "outcomes")
Place = tuple[str | int, ...]


@pytest.fixture(scope="module")
def world(install: Install) -> World:
    """What the calls act on, and a table that must not be dropped."""
    db = install.main
    if not db.one("select rolsuper from pg_roles where rolname = current_user"):
        pytest.skip("only a superuser can be another and look at what that did, in one transaction")
    db.run(f"create table {install.schema}.canary ()")
    db.run(f"grant select on {install.schema}.canary to {install.schema}_admin")
    return populate(db)


FUNCTIONS = list(arguments(World(0, 0, {"workflow_step_id": 0, "claim_id": 0}, 0, 0, 0, 0, 0)))


def places(value: Any, path: Place = ()) -> Iterator[tuple[Place, bool]]:
    """Where there is text: a value, or (true) a key."""
    if isinstance(value, str):
        yield path, False
    elif isinstance(value, dict):
        for key, inner in value.items():
            if path:  # the names of parameters are no values
                yield (*path, key), True
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


def replaced(value: Any, path: Place, is_key: bool, text: str) -> Any:
    """The value with the text in that place."""
    if not path:
        return text
    first, rest = path[0], path[1:]
    if isinstance(value, list):
        return [
            replaced(inner, rest, is_key, text) if number == first else inner
            for number, inner in enumerate(value)
        ]
    if is_key and not rest:
        return {text if key == first else key: inner for key, inner in value.items()}
    return {
        key: replaced(inner, rest, is_key, text) if key == first else inner
        for key, inner in value.items()
    }


def told(value: Any, change: Callable[[str], str]) -> Any:
    """A value as it is told, with every text in it changed; in an order that no text decides."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return sorted((change(key), json.dumps(told(each, change))) for key, each in value.items())
    if isinstance(value, list | tuple):
        return sorted((told(each, change) for each in value), key=json.dumps)
    return value if value is None or isinstance(value, int | float) else str(value)


class Trial:
    """Calls as an admin, each undone, with a look at what it did."""

    def __init__(self, install: Install) -> None:
        self._session = install.main
        self._schema = install.schema
        self._admin = sql.Identifier(install.login("admin"))
        self._tables = self._session.tables()
        self._sequences = self._session.rows(
            "select format('%%I.%%I', schemaname, sequencename) as name,"
            " coalesce(last_value, start_value) as value, last_value is not null as called"
            " from pg_sequences where schemaname = %s",
            install.schema,
        )

        self._before = {table: self._held(table) for table in self._tables}

    def __call__(self, function: str, given: dict[str, Any], text: str) -> Any:
        """The answer and what is new in the tables, with the text as WORD; or the SQLSTATE."""
        session = self._session
        for name, value, called in self._sequences:
            session.run("select setval(%s, %s, %s)", name, value, called)
        session.begin()
        try:
            session.conn.execute(sql.SQL("set local session authorization {}").format(self._admin))
            answer = self._call(function, given)
            session.run("reset session authorization")
            held = {table: self._held(table) for table in self._tables}
            new = {
                table: [row for row in rows if row not in self._before[table]]
                for table, rows in held.items()
            }
        except psycopg.Error as error:
            said = error.diag
            about = f"{function}({given}): {said.sqlstate} {said.message_primary} {said.context}"
            assert ALLOWED.fullmatch(said.sqlstate or ""), about
            return said.sqlstate
        finally:
            session.rollback()
            session.run("select pg_advisory_unlock_all()")
        # What quotes a name or a value in a message, or JSON in a text, has more of it than once.
        forms = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], text)

        def change(told: str) -> str:
            for form in forms:
                told = told.replace(form, WORD)
            return told

        return told([answer, new], change)

    def _call(self, function: str, given: dict[str, Any]) -> Any:
        names = sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name))
            for name in given
        )
        query = sql.SQL("select * from {}({})").format(
            sql.Identifier(self._schema, function), names
        )
        values = {name: adapted(name, value) for name, value in given.items()}
        with self._session.conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query, values).fetchall()
        for row in rows:
            if isinstance(row.get("claimed"), str):  # advance_json answers with JSON as text
                row["claimed"] = json.loads(row["claimed"])
        return rows

    def _held(self, table: str) -> list[Any]:
        query = sql.SQL("select to_jsonb(t) - 'xact_id' from {} t").format(
            sql.Identifier(self._schema, table)
        )
        return [row for (row,) in self._session.conn.execute(query).fetchall()]


def adapted(name: str, value: Any) -> Any:
    """As the parameter's type wants it."""
    if name == "contexts":
        return [Jsonb(each) for each in value]
    return Jsonb(value) if name in JSON else value


@pytest.mark.parametrize("function", FUNCTIONS)
def test_text_is_only_text(install: Install, world: World, function: str):
    """The same effect as that of a harmless word, or a refusal in words."""
    trial = Trial(install)
    given = arguments(world)[function]
    assert not isinstance(trial(function, given, WORD), str), "the call that all begins with fails"
    tried = accepted = 0
    for place, is_key in places(given):
        harmless = trial(function, replaced(given, place, is_key, WORD), WORD)
        for text in TEXTS:
            answer = trial(function, replaced(given, place, is_key, text), text)
            tried += 1
            if not isinstance(answer, str) and place[0] not in TYPED:
                accepted += 1
                assert answer == harmless, f"{function}, {place}: {text!r}"
    assert install.main.one("select count(*) from canary") == 0
    has_free_text = {"reason", "context", "results", "error", "metadata", "tags"} & set(given)
    assert not has_free_text or accepted >= len(TEXTS), f"{accepted} of {tried}"


def test_every_public_function_was_tried(install: Install):
    """One that is added needs a call here."""
    known = install.main.column(
        "select p.proname::text from pg_proc p where p.pronamespace = %s::regnamespace"
        " and not starts_with(p.proname, '_')",
        install.schema,
    )
    assert sorted(known) == sorted(FUNCTIONS)


@pytest.mark.parametrize("text", TEXTS)
def test_the_python_client_hands_text_on_as_it_is(install: Install, world: World, text: str):
    """Whatever the method; what is refused is refused in words."""
    with Client(install.dsn("admin"), schema=install.schema) as client:
        task = client.start(
            "flow", {text: text}, initiator=text, source_system=text, reason=text, tags=[text]
        )
        found = client.get_task(task)
        assert (found.context, found.initiator, found.reason) == ({text: text}, text, text)
        assert (found.source_system, list(found.tags)) == (text, [text])
        assert [each.task_id for each in client.list_tasks(tag=text)] == [task]
        client.cancel_task(task, reason=text, actor=text)
        last = client.get_task_history(task)[-1]
        assert (last.reason, last.actor) == (text, text)
        client.pause_queue(text)
        assert text in {queue.queue for queue in client.list_queues() if queue.paused}
        client.resume_queue(text)
        for call in (
            lambda: client.start(text),
            lambda: client.start("flow", namespace=text),
            lambda: client.start("flow", version=text),
            lambda: client.get_setting(text),
            lambda: client.set_setting("payload_limit", text),
            lambda: client.step_readiness.order_by(text).count(),
        ):
            with pytest.raises((PgtaskerError, psycopg.DataError, ValueError)):
                call()
    with pytest.raises((PgtaskerError, psycopg.DataError)):
        Client(install.dsn("admin"), schema=text).list_tasks()
    assert install.main.one("select count(*) from canary") == 0


def test_a_schema_may_have_any_name(empty_dsn: str):
    """Also one that looks like a place for an argument."""
    schema = "100% %s %(name)s {ours} $$ ' \" \\"
    with psycopg.connect(empty_dsn) as conn:
        installer.install(conn, schema)
    with Client(empty_dsn, schema=schema) as client:
        client.register({"name": "flow", "steps": [{"name": "only"}]})
        task = client.start("flow", {"order": 7}, tags=["red"])
        assert [each.task_id for each in client.list_tasks(tag="red")] == [task]
        [status] = client.step_readiness.active().ready_for_execution().limit(1)
        assert status.task_id == task
        call = surface.get_setting("100%% sure")
        assert "100%% sure" in call.shown(schema)
        assert sql.Identifier(schema).as_string() in call.shown(schema)
    levels = {each.check: each.level for each in examine(empty_dsn, schema)}
    assert (levels["install"], levels["code"], levels["queues"]) == ("ok", "ok", "problem")
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        upgrader.upgrade(conn, schema)
        assert installer.uninstall(conn, schema)
