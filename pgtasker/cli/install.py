"""`install`, `upgrade`, `downgrade`, `uninstall`, `sql`: the engine in a database.

Responsible for asking before something is lost. The work is left to `installer` and `upgrader`.
"""

from __future__ import annotations

import sys

import click

from pgtasker import installer, upgrader
from pgtasker.cli.base import F, Refused, Settings, database_options
from pgtasker.rights import identifier, roles_in
from pgtasker.schema_files import SCHEMA_VERSION


def _roles_option(command: F) -> F:
    return click.option(
        "--create-roles",
        is_flag=True,
        help="Create the roles SCHEMA_client, _runner, _viewer and _admin where they are missing.",
    )(command)


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the SQL instead of running it.")
@_roles_option
@database_options
@click.pass_obj
def install(settings: Settings, dry_run: bool, create_roles: bool) -> None:
    """Put the engine into a database.

    Its roles are granted what is theirs where they exist. They belong to the whole server.
    """
    schema = settings.schema_name()
    if dry_run:
        click.echo(installer.render_install(schema, create_roles=create_roles))
        return
    with settings.connect() as conn:
        try:
            installer.install(conn, schema, create_roles=create_roles)
        except installer.AlreadyInstalledError as already:
            if already.version != SCHEMA_VERSION:
                raise
            advice = "pgtasker upgrade puts its functions in order"
            if create_roles:
                advice = "pgtasker upgrade --create-roles creates its roles"
            click.echo(f"pgtasker: {already}; {advice}")
            return
        roles = roles_in(conn, schema)
    click.echo(f"installed pgtasker {SCHEMA_VERSION} in schema {schema!r}")
    _tell_roles(roles)


_dry_run = click.option(
    "--dry-run", is_flag=True, help="Try it, take it back, and print the SQL that was run."
)


@click.command()
@_dry_run
@_roles_option
@database_options
@click.pass_obj
def upgrade(settings: Settings, dry_run: bool, create_roles: bool) -> None:
    """Bring an install to the version of this package.

    Tables are migrated, functions, triggers and views replaced in place, all in one transaction. It
    also repairs an install whose schema was renamed, grants its roles what is theirs, and may be
    run at any time.
    """
    _bring(settings, dry_run=dry_run, create_roles=create_roles)


@click.command()
@_dry_run
@database_options
@click.pass_obj
def downgrade(settings: Settings, dry_run: bool) -> None:
    """Go back: a newer install gets the code of this package again.

    Tables and what is in them stay as they are, so that nothing is lost, and `upgrade` of the newer
    package brings its code back. Refused if this code does not fit the newer tables.
    """
    _bring(settings, back=True, dry_run=dry_run)


def _bring(
    settings: Settings, *, back: bool = False, dry_run: bool, create_roles: bool = False
) -> None:
    schema = settings.schema_name()

    def told(holders: str) -> None:
        click.echo(f"pgtasker: waiting for {holders}", err=True)

    with settings.connect() as conn:
        done = upgrader.upgrade(
            conn, schema, back=back, dry_run=dry_run, create_roles=create_roles, told=told
        )
        roles = roles_in(conn, schema)
    if dry_run:
        click.echo(done.script)
        return
    version = done.after if done.before == done.after else f"{done.before} to {done.after}"
    click.echo(f"{'downgraded' if back else 'upgraded'} pgtasker {version} in schema {schema!r}")
    for name in (*done.migrations, *(f"dropped {line}" for line in done.dropped)):
        click.echo(f"  {name}")
    _tell_roles(roles)


def _tell_roles(roles: list[str]) -> None:
    """Whoever may use the install was decided elsewhere, perhaps: name them."""
    if roles:
        click.echo(f"granted what is theirs to {', '.join(roles)}")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_options
@click.pass_obj
def uninstall(settings: Settings, yes: bool) -> None:
    """Remove the engine and everything it stores.

    Nothing else is touched.
    """
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
        roles = roles_in(conn, schema)
    kept = (
        "" if dropped else "; the schema stays: it was there before, or holds something of others"
    )
    click.echo(f"uninstalled pgtasker from schema {schema!r}{kept}")
    if roles:
        named = ", ".join(identifier(role) for role in roles)
        click.echo(f"its roles stay, other databases may use them: drop role {named}")


@click.command()
@_roles_option
@database_options
@click.pass_obj
def sql(settings: Settings, create_roles: bool) -> None:
    """Print the install as one plain SQL file.

    It is for psql, migration tools or a DBA.
    """
    click.echo(installer.render_install(settings.schema_name(), create_roles=create_roles))


COMMANDS = (install, upgrade, downgrade, uninstall, sql)
