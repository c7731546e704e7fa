"""What all commands share: the options that say where the database is, and how failures end.

Responsible for exit statuses: 0 done, 1 refused or failed with one clear line on stderr, 2 wrong
usage (click's own). A traceback means a mistake in pgtasker, never one of its user.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import psycopg

import pgtasker
from pgtasker.client import Client
from pgtasker.codec import Codec
from pgtasker.dsn import connection_string, resolve_dsn, resolve_schema, shown
from pgtasker.errors import ConfigurationError, EngineError, PgtaskerError, one_line
from pgtasker.importing import import_function
from pgtasker.rows import TaskStep
from pgtasker.service.logs import redactor

F = TypeVar("F", bound=Callable[..., Any])


class Refused(PgtaskerError):  # noqa: N818 - the name is an outcome
    """The command ends with exit status 1 and this line."""


@dataclass(slots=True)
class Settings:
    """Where the database is, as the options say; None leaves it to the environment."""

    dsn: str | None = None
    schema: str | None = None

    def client(self) -> Client:
        """A client, to be closed by the caller."""
        return Client(self.dsn, schema=self.schema, codec=self.codec())

    def codec(self) -> Codec | None:
        """What PGTASKER_CODEC names, as module:function, makes it; None if nothing is named."""
        path = os.environ.get("PGTASKER_CODEC")
        if not path:
            return None
        try:
            codec: Codec = import_function(path)()
        except Exception as error:
            raise ConfigurationError(f"PGTASKER_CODEC={path}: {one_line(error)}") from error
        for method in ("encode", "decode"):
            if not callable(getattr(codec, method, None)):
                raise ConfigurationError(f"PGTASKER_CODEC={path}: there is no method {method}")
        return codec

    def connect(self) -> psycopg.Connection[Any]:
        """A connection for what is no call of the SQL surface."""
        return psycopg.connect(connection_string(resolve_dsn(self.dsn)), autocommit=True)

    def environment(self) -> dict[str, str]:
        """The same for a process started from here: a DSN never shows on its command line."""
        given = {"PGTASKER_DSN": self.dsn, "PGTASKER_SCHEMA": self.schema}
        return {name: value for name, value in given.items() if value is not None}

    def schema_name(self) -> str:
        """The schema of the install."""
        return resolve_schema(self.schema)

    def database(self) -> str:
        """The database as a person may see it."""
        with suppress(PgtaskerError):
            return shown(resolve_dsn(self.dsn))
        return "the database"


class Commands(click.Group):
    """A group whose expected failures end in one line and exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which they were added: the order of a first visit."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse bytes that are no text: neither the database nor a JSON document can hold them."""
        for given in args:
            if not given.isprintable() and any("\ud800" <= each <= "\udfff" for each in given):
                raise click.UsageError(f"{given!r} is not UTF-8", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (PgtaskerError, psycopg.Error, TimeoutError) as error:
            said = f"pgtasker: {line_of(error, ctx.find_object(Settings))}"
        except KeyboardInterrupt:
            said = "pgtasker: interrupted"
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of ours, told without passwords
            said = "".join(traceback.format_exception(error)).rstrip()
        settings = ctx.find_object(Settings) or Settings()
        click.echo(redactor([settings.dsn])(said), err=True)
        return ctx.exit(1)


def _remember(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and parameter.name is not None:
        setattr(ctx.ensure_object(Settings), parameter.name, value)


def database_options(command: F) -> F:
    """`--dsn` and `--schema`: accepted before the command and after it."""
    for option, metavar, text in (
        ("--schema", "NAME", "Schema of the install; else PGTASKER_SCHEMA, else pgtasker."),
        (
            "--dsn",
            "DSN",
            "Database, or the word embedded; else PGTASKER_DSN, else libpq's environment.",
        ),
    ):
        click.option(
            option,
            metavar=metavar,
            help=text,
            callback=_remember,
            expose_value=False,
            is_eager=True,
        )(command)
    return command


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(pgtasker.__version__, prog_name="pgtasker")
@database_options
@click.pass_context
def group(ctx: click.Context) -> None:
    """Durable workflows in PostgreSQL.

    `pgtasker demo` shows one at work on a private server; `pgtasker install` puts the engine into
    a database of yours.
    """
    ctx.ensure_object(Settings)


def json_option(command: F) -> F:
    """`--json`: print data instead of a picture."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def parse_json(text: str | None, what: str) -> Any:
    """A JSON argument; `-` reads standard input."""
    if text is None:
        return None
    if text == "-":
        text = sys.stdin.read()
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{what} is not JSON: {error}") from None


def split_step(text: str) -> tuple[int, str | None]:
    """TASK, or TASK/NAME: the task_id and the name of a step of it."""
    parts = _parts(text)
    if parts is None:
        raise click.UsageError(
            f"{text!r} is no task and no step: give TASK as in 12, or TASK/STEP as in 12/charge"
        )
    return parts


def step_named(task_id: int, steps: Sequence[TaskStep], name: str) -> TaskStep:
    """The step of that name among those of a task."""
    found = {step.name: step for step in steps}
    if name not in found:
        known = ", ".join(found)
        raise Refused(f"task {task_id} has no step {name!r}: its steps are {known}")
    return found[name]


def find_step(client: Client, text: str) -> int:
    """The workflow_step_id that is meant by a number, or by TASK/NAME."""
    parts = _parts(text)
    if parts is None:
        raise click.UsageError(f"{text!r} is no step: give its id, or TASK/NAME as in 12/charge")
    number, name = parts
    if name is None:
        return number
    return step_named(number, client.get_task_steps(number), name).workflow_step_id


def _parts(text: str) -> tuple[int, str | None] | None:
    """NUMBER, or NUMBER/NAME; None if the text is neither."""
    number, slash, name = text.partition("/")
    if not number.isdecimal() or (slash and not name):
        return None
    return int(number), name or None


def line_of(error: BaseException, settings: Settings | None) -> str:
    """An expected failure in one line."""
    settings = settings or Settings()
    if isinstance(error, EngineError):
        return _with(one_line(error), error.detail, error.hint)
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        diagnosis = error.diag
        message = " ".join(str(diagnosis.message_primary).splitlines())  # a name may hold several
        hint = diagnosis.message_hint
        if hint is None and isinstance(error, psycopg.errors.InsufficientPrivilege):
            hint = "pgtasker doctor says what this user may do"
        return _with(message, diagnosis.message_detail, hint)
    if isinstance(error, psycopg.OperationalError):
        given = settings.dsn is not None or os.environ.get("PGTASKER_DSN")
        hint = "--dsn says where the database is; --dsn embedded starts a private one"
        return one_line(error) if given else f"{one_line(error)} ({hint})"
    return one_line(error)


def _with(message: str, *more: str | None) -> str:
    sentences = " ".join(_sentence(text) for text in more if text)
    return f"{message} ({sentences})" if sentences else message


def _sentence(text: str) -> str:
    joined = "; ".join(line.strip() for line in text.splitlines())
    return joined if joined.endswith((".", "!", "?")) else f"{joined}."
