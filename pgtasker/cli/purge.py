"""`purge`: finished tasks that are old are removed, now.

Responsible for asking before history is lost, for calling again until nothing is left to go, and
for leaving the server to others in between. What goes is decided by `purge_tasks`.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta

import click

from pgtasker.cli.base import Refused, Settings, database_options
from pgtasker.cli.times import age

AT_ONCE = 500  # tasks in one transaction: a few hundredths of a second
PAUSE = 4  # times as long as it took


pause = time.sleep


@click.command()
@click.option(
    "--older-than",
    metavar="AGE",
    callback=age,
    help="Whatever is over for so long, as in 30d; else what is kept no longer.",
)
@click.option("--fast", is_flag=True, help="Without pauses, whatever else the server has to do.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_options
@click.pass_obj
def purge(settings: Settings, older_than: timedelta | None, fast: bool, yes: bool) -> None:
    """Remove finished tasks that are old, with their history.

    Without --older-than those go that are kept no longer than their workflow or the setting
    retention says: runners do that by themselves, a little at a time. Tasks in error stay, and so
    does what is not counted for the statistics yet.
    """
    if older_than is not None and not yes:
        if not sys.stdin.isatty():
            raise Refused("purge removes tasks and their history: add --yes")
        question = f"Remove every finished task older than {older_than}, {settings.database()}?"
        if not click.confirm(question):
            raise Refused("nothing was removed")
    purged = 0
    with settings.client() as client:
        while True:
            begun = time.monotonic()
            removed = client.purge_tasks(older_than, max_tasks=AT_ONCE)
            purged += removed
            if removed < AT_ONCE:
                break
            if not fast:
                pause(PAUSE * (time.monotonic() - begun))
    click.echo(f"purged {purged} task{'' if purged == 1 else 's'}")
