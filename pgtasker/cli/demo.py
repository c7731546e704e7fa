"""`demo`: a real workflow on a private server. The work is left to `pgtasker.demo`."""

from __future__ import annotations

import click

from pgtasker.cli.base import Settings, database_options
from pgtasker.cli.output import console


@click.command()
@click.argument("directory", required=False)
@database_options
@click.pass_obj
def demo(settings: Settings, directory: str | None) -> None:
    """Watch a workflow of ten steps explore a directory.

    DIRECTORY is the standard library's source unless given; the database is the embedded one unless
    --dsn is given.
    """
    from pgtasker.demo.show import show

    show(directory, settings.dsn or "embedded", settings.schema, console())
