"""The files under pgtasker/schema, as statements for a schema of any name.

Responsible for their order and for the names of what they create, which only the files say. Root
files are state: they run once, and change by the numbered files under `migrations`. The files in
the folders `functions`, `triggers` and `views` are code: they are replaced on every upgrade.
Running anything is left to `installer` and `upgrader`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from psycopg import sql

# What an install says it is; changes with the schema, not with the package.
SCHEMA_VERSION = "0.1.0"

# The oldest version whose runners and clients work on this schema, and whose code works on its
# tables; changes when a function of the surface or a column goes, or means something else.
COMPATIBLE_SINCE = "0.1.0"

CODE = ("functions/", "triggers/", "views/")
GRANTS = "grants.sql"

_INCLUDE = re.compile(r"^\\ir +(\S+)$", re.MULTILINE)
_CREATE = re.compile(
    r"^create (?:or replace )?(?:unlogged |unique )?"
    r"(table|view|sequence|type|domain|index|function) (?:if not exists )?(\w+)",
    re.MULTILINE,
)
_SIGNATURE = re.compile(r"^comment on function\s+(\w+\([^)]*\))\s+is\b", re.MULTILINE)
_TRIGGER = re.compile(
    r"^create (?:or replace )?trigger (\w+)\s.*?\son (\w+)", re.MULTILINE | re.DOTALL
)
_REPLACEABLE = re.compile(r"^create (?=(?:function|view|trigger) )", re.MULTILINE)

_BEGIN = """\
-- pgtasker {version}, to be run in one transaction (psql --single-transaction -v ON_ERROR_STOP=1).

{create}
set search_path = {schema}, pg_temp;
"""

_CREATE_SCHEMA = """
    perform set_config('pgtasker.caller_search_path', current_setting('search_path'), false);
    perform set_config(
        'pgtasker.schema_created',
        (not exists (select from pg_namespace where nspname = {literal}))::text,
        false
    );
    if current_setting('pgtasker.schema_created')::boolean then
        create schema {schema};
    end if;"""

_END = """\
insert into settings (name, value)
values
    ('schema_version', '{version}'),
    ('schema_compatible_since', '{since}'),
    ('schema_created', current_setting('pgtasker.schema_created')),
    ('schema_migration', '{migration}'),
    ('schema_code', {code}),
    ('made_for_tests', '{testing}');

do $$
begin
    perform set_config('search_path', current_setting('pgtasker.caller_search_path'), false);
end;
$$;
"""


@dataclass(frozen=True, slots=True)
class Objects:
    """The names of what the schema's files create, by kind; functions also with their arguments.

    `code` are those that an upgrade replaces, each as `drop` names it.
    """

    names: dict[str, tuple[str, ...]]
    signatures: tuple[str, ...]
    code: tuple[str, ...]

    @property
    def relations(self) -> list[str]:
        """Every name that is taken among tables, views, sequences, indexes and types."""
        return [name for kind, names in self.names.items() if kind != "function" for name in names]


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: what brings the tables from one released schema to the next."""

    number: int
    name: str
    text: str


def objects(testing: bool = True) -> Objects:
    """What the schema's files create."""
    names: dict[str, tuple[str, ...]] = {}
    signatures: list[str] = []
    code: list[str] = []
    for file, text in load_order(testing):
        made = _CREATE.findall(text)
        for kind, name in made:
            names[kind] = tuple(dict.fromkeys((*names.get(kind, ()), name)))
        signed = [" ".join(signature.split()) for signature in _SIGNATURE.findall(text)]
        signatures += signed
        if file.startswith(CODE):
            code += [f"function {signature}" for signature in signed]
            code += [f"view {name}" for kind, name in made if kind == "view"]
            code += [f"trigger {name} on {table}" for name, table in _TRIGGER.findall(text)]
    return Objects(names, tuple(dict.fromkeys(signatures)), tuple(dict.fromkeys(code)))


def install_pieces(schema: str, testing: bool) -> Iterator[tuple[str, str]]:
    """What installs, piece by piece, each with the name of its file."""
    quoted = {"schema": sql.Identifier(schema).as_string(None), "version": SCHEMA_VERSION}
    create = block(_CREATE_SCHEMA.format(schema=quoted["schema"], literal=sql.quote(schema)))
    yield "the opening", _BEGIN.format(**quoted, create=create)
    for name, text in load_order(testing):
        yield name, f"-- {name}\n\n{text}"
    last = max((migration.number for migration in migrations()), default=0)
    code = sql.quote("\n".join(objects(testing).code))
    yield (
        "the end",
        _END.format(
            **quoted,
            since=COMPATIBLE_SINCE,
            migration=last,
            code=code,
            testing=str(testing).lower(),
        ),
    )


def code_pieces(testing: bool) -> Iterator[tuple[str, str]]:
    """The files of code in load order, each replacing what it created before; then the grants."""
    for name, text in load_order(testing):
        if name == GRANTS or name.startswith((*CODE, "testing/")):
            yield name, _REPLACEABLE.sub("create or replace ", text)


def load_order(testing: bool) -> Iterator[tuple[str, str]]:
    """The files in the order in which an install runs them, each with its text.

    `testing` adds what only an install made for tests may have: a clock that tests can move.
    """
    root = source()
    for name in _INCLUDE.findall((root / "install.sql").read_text("utf-8")):
        yield name, root.joinpath(*name.split("/")).read_text("utf-8")
    if testing:
        for file in sorted((root / "testing").iterdir(), key=lambda file: file.name):
            yield f"testing/{file.name}", file.read_text("utf-8")


def migrations() -> list[Migration]:
    """The numbered files under `migrations`, `NNNN_what_changes.sql`, in their order."""
    folder = source() / "migrations"
    if not folder.is_dir():
        return []
    found = [
        Migration(int(number.group()), f"migrations/{file.name}", file.read_text("utf-8"))
        for file in folder.iterdir()
        if (number := re.match(r"\d+", file.name)) and file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


def block(body: str) -> str:
    """Statements of PL/pgSQL as one, between marks that do not occur in them."""
    mark = "$$"
    while mark in body:
        mark = f"$_{mark[1:]}"
    return f"do {mark}\nbegin{body}\nend;\n{mark};\n"


def is_newer(version: str) -> bool:
    """Whether a schema of that version is newer than what this package knows."""
    return _numbers(version) > _numbers(SCHEMA_VERSION)


def understands(version: str, compatible_since: str) -> bool:
    """Whether this package can work on a schema of that version: one that is not newer, or one of
    the same major version that is compatible since this one or longer."""
    own = _numbers(SCHEMA_VERSION)
    return not is_newer(version) or (
        _numbers(version)[:1] == own[:1] and _numbers(compatible_since) <= own
    )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def source() -> Traversable:
    """The folder that holds the files."""
    return files("pgtasker") / "schema"
