"""The roles of an install, and what each may do, as SQL for a schema of any name.

Responsible for the names of the roles and for reading roles.sql, which says what they may do.
Roles belong to the whole server: they are created on request only, and granted what is theirs where
they exist. Running anything is left to `installer` and `upgrader`.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pgtasker.errors import ConfigurationError
from pgtasker.schema_files import block, source

ROLES = "roles.sql"
LONGEST_NAME = 63  # bytes

KINDS = {
    "client": "start tasks and look",
    "runner": "execute steps",
    "viewer": "look",
    "admin": "do everything",
}

_GRANT = re.compile(
    r"^grant (execute|select) on (function|table)\s([\w\s,]+?)\sto ([a-z, ]+);$", re.MULTILINE
)

_CREATE = """
    if not exists (select from pg_roles where rolname = {literal}) then
        create role {role};
        comment on role {role} is {comment};
    end if;"""

_MAY_NOT = """
exception
    when insufficient_privilege then
        raise exception using
            errcode = 'insufficient_privilege',
            message = sqlerrm,
            detail = 'This takes the attribute CREATEROLE.',
            hint = {advice};"""

_REQUIRE = """
    if has_schema_privilege('public', {literal}, 'create') then
        raise exception using
            errcode = 'object_not_in_prerequisite_state',
            message = format('everybody may create objects in schema %I', {literal}),
            detail = 'Functions would call with their owner''s rights what somebody put there.',
            hint = {advice};
    end if;"""

_GRANT_TO = """
    if exists (select from pg_roles where rolname = {literal}) then
        grant usage on schema {schema} to {role};
        {grants}
    end if;"""


def role_name(schema: str, kind: str) -> str:
    """The name of a role of the install in the schema; `kind` is one of KINDS."""
    return f"{schema}_{kind}"


def rights() -> dict[str, dict[str, tuple[str, ...]]]:
    """What each kind of role may use, as roles.sql says: the names of functions and of tables."""
    text = (source() / ROLES).read_text("utf-8")
    found: dict[str, dict[str, tuple[str, ...]]] = {
        kind: {"function": (), "table": ()} for kind in KINDS
    }
    for _, what, names, kinds in _GRANT.findall(text):
        for kind in kinds.split(", "):
            found[kind][what] += tuple(names.replace(",", " ").split())
    return found


def creating(schema: str) -> str:
    """Creates the roles that are missing; raises ConfigurationError if a name is too long."""
    blocks = []
    for kind, may in KINDS.items():
        role = role_name(schema, kind)
        if len(role.encode()) > LONGEST_NAME:
            raise ConfigurationError(
                f"no role can be called {role!r}: a name has at most {LONGEST_NAME} bytes; roles "
                "are named after the schema, so give it a shorter name"
            )
        comment = sql.quote(f"pgtasker in schema {schema}: may {may}")
        blocks.append(
            _CREATE.format(literal=sql.quote(role), role=identifier(role), comment=comment)
        )
    names = ", ".join(identifier(role_name(schema, kind)) for kind in KINDS)
    advice = f"let somebody who may do it create the roles {names}, and leave the option out"
    return block("".join(blocks) + _MAY_NOT.format(advice=sql.quote(advice)))


def granting(schema: str) -> str:
    """Grants to the roles that are there, in a schema where nobody else creates anything."""
    quoted = {"literal": sql.quote(schema), "schema": identifier(schema)}
    advice = f"revoke create on schema {quoted['schema']} from public"
    blocks = [_REQUIRE.format(literal=quoted["literal"], advice=sql.quote(advice))]
    for kind, granted in rights().items():
        role = role_name(schema, kind)
        grants = [
            f"grant {verb} on {what}{_listed(schema, granted[what])} to {identifier(role)};"
            for verb, what in (("execute", "function"), ("select", "table"))
            if granted[what]
        ]
        blocks.append(
            _GRANT_TO.format(
                literal=sql.quote(role),
                schema=quoted["schema"],
                role=identifier(role),
                grants="\n        ".join(grants),
            )
        )
    return block("".join(blocks))


def roles_in(conn: psycopg.Connection[Any], schema: str) -> list[str]:
    """The roles of an install in the schema that exist on this server."""
    names = [role_name(schema, kind) for kind in KINDS]
    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("select rolname from pg_roles where rolname = any (%s)", [names])
        there = {str(name) for (name,) in cursor.fetchall()}
    return [name for name in names if name in there]


def identifier(name: str) -> str:
    """A name as SQL text writes it."""
    return sql.Identifier(name).as_string(None)


def _listed(schema: str, names: tuple[str, ...]) -> str:
    return ",".join(f"\n            {identifier(schema)}.{name}" for name in names) + "\n       "
