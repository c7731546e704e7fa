"""An install with roles, and somebody who has each of them.

Its owner is no superuser, and its schema has a name of its own: roles belong to the whole server,
where other tests are at work.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgtasker import installer
from pgtasker.rights import KINDS, role_name

from ..support.databases import Database, Databases
from ..support.session import Session

STRANGER = "stranger"  # has no role


@dataclass
class Install:
    """A database with an install, seen by a superuser (`database`) and by members of its roles."""

    server: Databases
    database: Database
    sessions: dict[str, Session]

    @property
    def schema(self) -> str:
        return self.database.schema

    @property
    def main(self) -> Session:
        """A session that may do everything."""
        return self.database.main

    def login(self, who: str) -> str:
        """The name of the owner, of the stranger, or of somebody who has a role."""
        return f"{self.schema}_app_{who}"

    def dsn(self, who: str) -> str:
        """How they connect."""
        return make_conninfo(self.database.dsn, user=self.login(who))

    def session(self, who: str) -> Session:
        """A session of theirs."""
        if who not in self.sessions:
            self.sessions[who] = Database(self.dsn(who), self.schema).main
            self.sessions[who].set_clock(self.database.clock)
        return self.sessions[who]

    def another(self, who: str) -> Session:
        """One more session of theirs, for the caller to close."""
        return Database(self.dsn(who), self.schema).main


def create(server: Databases, testing: bool = True) -> Install:
    """An install of its own, in a database of its own."""
    schema = f"rights_{uuid.uuid4().hex[:8]}"
    dsn = server.empty()
    made = Install(server, None, {})  # type: ignore[arg-type]
    with psycopg.connect(dsn, autocommit=True) as conn:

        def run(text: str, **names: str) -> None:
            quoted: dict[str, Any] = {key: sql.Identifier(name) for key, name in names.items()}
            conn.execute(sql.SQL(text).format(**quoted))  # type: ignore[arg-type]

        owner = f"{schema}_app_owner"
        run("create role {owner} login createrole", owner=owner)
        run("create schema {schema} authorization {owner}", schema=schema, owner=owner)
        with psycopg.connect(dsn, user=owner) as owners:
            installer.install(owners, schema, testing=testing, create_roles=True)
        for kind in KINDS:
            run("create role {user} login", user=f"{schema}_app_{kind}")
            run("grant {role} to {user}", role=role_name(schema, kind), user=f"{schema}_app_{kind}")
        run("create role {user} login", user=f"{schema}_app_{STRANGER}")
    made.database = Database(dsn, schema)
    return made


def drop(made: Install) -> None:
    """The database, and all roles."""
    for session in made.sessions.values():
        session.conn.close()
    made.database.close()
    made.server.drop(made.database.dsn)
    with psycopg.connect(made.server.facts["dsn"], autocommit=True) as conn:
        rows = conn.execute(
            "select rolname from pg_roles where starts_with(rolname, %s)", [made.schema]
        )
        for (name,) in rows.fetchall():
            conn.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
