"""`top`: what the install does now, on a screen that follows it.

Responsible for the command: one frame, or the screen until somebody leaves. Figures are left to
`picture`, the layout to `frame`, keys to `view`, following the database to `screen`.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import click

from pgtasker.cli.base import Refused, Settings, database_options, json_option
from pgtasker.cli.output import console, print_json, print_lines
from pgtasker.cli.top.frame import Status, render
from pgtasker.cli.top.picture import Picture, Reading, compare
from pgtasker.cli.top.view import View
from pgtasker.client import Client

COUNTED_WITHIN = 7.0  # seconds; the database counts every five while a runner lives
LOOK_EVERY = 0.5  # seconds
WIDE = 120  # columns of a frame that is not for a terminal


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    metavar="SECONDS",
    help="From one look at the database to the next.",
)
@click.option("--once", is_flag=True, help="Print one frame and end; rates take a few seconds.")
@json_option
@database_options
@click.pass_obj
def top(settings: Settings, interval: float, once: bool, as_json: bool) -> None:
    """Follow what is done: queues, runners, workflows, failing steps.

    Keys: q quits, p pauses the screen. / shows only what has a text in its name, esc shows all
    again. tab chooses the next section, which has most of the screen; the arrows sort and scroll
    it. + and - change the interval.
    """
    if as_json and not once:
        raise click.UsageError("--json is for one frame: give --once")
    if once:
        with settings.client() as client:
            picture = _look(client)
        if as_json:
            print_json(picture)
        else:
            _print(picture, Status(settings.database(), datetime.now(UTC)))
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("this is no terminal: --once prints one frame")
    try:
        from pgtasker.cli.top.screen import follow
    except ImportError:
        raise Refused("this system has no such terminals: --once prints one frame") from None
    follow(settings, interval)


def _look(client: Client) -> Picture:
    """One picture, with rates if there is a runner, so that somebody counts."""
    readings = [Reading.of(client.monitoring_metrics(), time.monotonic())]
    end = readings[0].at + COUNTED_WITHIN
    while (picture := compare(readings, window=0)).window is None:
        seen = picture.overview
        if not seen.live_runners + seen.waiting_runners or time.monotonic() > end:
            break
        time.sleep(LOOK_EVERY)
        readings.append(Reading.of(client.monitoring_metrics(), time.monotonic()))
    return picture


def _print(picture: Picture, status: Status) -> None:
    target = console()
    width = target.width if target.is_terminal else WIDE
    print_lines(render(picture, View(), status, width=width, height=None))
