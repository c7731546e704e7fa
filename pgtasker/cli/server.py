"""`server start|stop|status|dsn|psql`: the embedded server. The work is left to `embedded`."""

from __future__ import annotations

import os

import click
from psycopg.sql import Identifier

from pgtasker.cli.base import Refused, Settings, database_options, json_option
from pgtasker.cli.output import print_json


@click.group()
def server() -> None:
    """Start, stop and reach the embedded PostgreSQL.

    It is the one of --dsn embedded.
    """


@server.command()
def start() -> None:
    """Start it unless it runs, and print its DSN."""
    from pgtasker import embedded

    click.echo(embedded.start())


@server.command()
def stop() -> None:
    """Stop it; what is stored stays."""
    from pgtasker import embedded

    click.echo("stopped" if embedded.stop() else "not running")


@server.command()
@json_option
def dsn(as_json: bool) -> None:
    """Print its DSN; exit status 1 if it does not run."""
    from pgtasker import embedded

    found = embedded.dsn()
    if as_json:
        print_json({"running": found is not None, "dsn": found})
    elif found is not None:
        click.echo(found)
    if found is None:
        raise Refused("the embedded server does not run: pgtasker server start")


@server.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL ARGUMENTS]...")
@database_options
@click.pass_obj
def psql(settings: Settings, arguments: tuple[str, ...]) -> None:
    """Open psql on it, with the install on the search_path."""
    from pgtasker import embedded

    address, program = embedded.start(), embedded.psql()
    path = Identifier(settings.schema_name()).as_string(None)
    escaped = path.replace("\\", "\\\\").replace(" ", "\\ ")
    os.environ.setdefault("PGOPTIONS", f"-c search_path={escaped},public")
    try:
        os.execv(program, [program, address, *arguments])
    except OSError as error:
        raise Refused(f"cannot run {program}: {error.strerror}") from error
