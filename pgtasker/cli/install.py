"""`install`, `uninstall`, `sql`: the engine in a database.

Responsible for asking before something is lost. The work is left to `installer`.
"""

from __future__ import annotations

import sys

import click

from pgtasker import installer
from pgtasker.cli.base import Refused, Settings, database_options


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the SQL instead of running it.")
@database_options
@click.pass_obj
def install(settings: Settings, dry_run: bool) -> None:
    """Put the engine into a database."""
    schema = settings.schema_name()
    if dry_run:
        click.echo(installer.render_install(schema))
        return
    with settings.connect() as conn:
        try:
            installer.install(conn, schema)
        except installer.AlreadyInstalledError as already:
            click.echo(f"pgtasker: {already}")
            return
    click.echo(f"installed pgtasker {installer.SCHEMA_VERSION} in schema {schema!r}")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_options
@click.pass_obj
def uninstall(settings: Settings, yes: bool) -> None:
    """Remove the engine and everything it stores; nothing else is touched."""
    schema = settings.schema_name()
    if not yes:
        if not sys.stdin.isatty():
            raise Refused("uninstall removes every task and its history: add --yes")
        question = (
            f"Remove every task and its history from schema {schema!r}, {settings.database()}?"
        )
        if not click.confirm(question):
            raise Refused("nothing was removed")
    with settings.connect() as conn:
        dropped = installer.uninstall(conn, schema)
    kept = (
        "" if dropped else "; the schema stays: it was there before, or holds something of others"
    )
    click.echo(f"uninstalled pgtasker from schema {schema!r}{kept}")


@click.command()
@database_options
@click.pass_obj
def sql(settings: Settings) -> None:
    """Print the install as one plain SQL file, for psql, migration tools or a DBA."""
    click.echo(installer.render_install(settings.schema_name()))


COMMANDS = (install, uninstall, sql)
