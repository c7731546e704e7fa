"""The source of the engine, file by file, with its parse trees."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pglast
from pglast import ast, enums
from pglast.parser import Token, scan

import pgtasker

SCHEMA = Path(pgtasker.__file__).parent / "schema"
MANIFEST = SCHEMA / "install.sql"
# Only in an install made for tests, only in an upgrade, or only for roles that exist: not in the
# manifest.
APART = ("testing", "migrations", "roles.sql")


@dataclass(frozen=True)
class Function:
    """One `create function` of a file."""

    name: str
    language: str
    options: dict[str, Any]
    sets: list[ast.VariableSetStmt]
    body: str | None

    @property
    def is_plpgsql(self) -> bool:
        return self.language == "plpgsql"


@dataclass(frozen=True)
class Source:
    """One SQL file."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(SCHEMA))

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def statements(self) -> list[Any]:
        return [statement.stmt for statement in pglast.parse_sql(self.text)]

    @cached_property
    def functions(self) -> list[Function]:
        return [
            _function(statement)
            for statement in self.statements
            if isinstance(statement, ast.CreateFunctionStmt)
        ]

    @cached_property
    def plpgsql(self) -> Any:
        """The parse trees of the PL/pgSQL bodies; none is an empty list.

        The parser knows no types but PostgreSQL's own and takes an array of any other for an array
        of records, which PL/pgSQL refuses: it is shown an array of text instead.
        """
        if not any(function.is_plpgsql for function in self.functions):
            return []
        known = r"\b(?!text|bigint|integer|jsonb|boolean|timestamptz)(\w+)\[\]"
        return pglast.parse_plpgsql(re.sub(known, "text[]", self.text))

    @property
    def creates(self) -> list[str]:
        """The names of what the file creates, indexes aside."""
        return [name for statement in self.statements if (name := _created(statement))]

    @property
    def header(self) -> str:
        """The comment that opens the file."""
        lines = []
        for line in self.text.splitlines():
            if not line.startswith("--"):
                break
            lines.append(line.removeprefix("--").removeprefix(" "))
        return "\n".join(lines)

    def words(self, wanted: Callable[[Token], bool]) -> list[str]:
        """The tokens that are wanted as they are written, those of PL/pgSQL bodies too."""
        texts = [self.text, *(function.body for function in self.functions if function.body)]
        return [
            text.encode()[token.start : token.end + 1].decode()
            for text in texts
            for token in scan(text)
            if wanted(token)
        ]


def sources() -> list[Source]:
    """Every SQL file but the manifest."""
    return [Source(path) for path in sorted(SCHEMA.rglob("*.sql")) if path != MANIFEST]


def manifest() -> list[str]:
    """The files that the manifest names, in its order."""
    return re.findall(r"^\\ir\s+(\S+)\s*$", MANIFEST.read_text(), re.MULTILINE)


def _function(statement: ast.CreateFunctionStmt) -> Function:
    options = {option.defname: option.arg for option in statement.options or ()}
    sets = [option.arg for option in statement.options or () if option.defname == "set"]
    body = options["as"][0].sval if "as" in options else None
    return Function(statement.funcname[-1].sval, options["language"].sval, options, sets, body)


def _created(statement: Any) -> str | None:
    match statement:
        case ast.CreateFunctionStmt():
            return str(statement.funcname[-1].sval)
        case ast.ViewStmt():
            return str(statement.view.relname)
        case ast.CreateStmt():
            return str(statement.relation.relname)
        case ast.CreateSeqStmt():
            return str(statement.sequence.relname)
        case ast.CompositeTypeStmt():
            return str(statement.typevar.relname)
        case ast.CreateTrigStmt():
            return str(statement.trigname)
        case ast.CreateDomainStmt():
            return str(statement.domainname[-1].sval)
    return None


def fixes_search_path(function: Function) -> bool:
    """Whether the function is declared with `set search_path from current`."""
    return any(
        option.name == "search_path" and option.kind == enums.VariableSetKind.VAR_SET_CURRENT
        for option in function.sets
    )
