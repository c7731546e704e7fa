"""`retry`, `cancel`, `pause`, `resume`, `resolve`, `skip`: what an operator does to a task.

One table says which verb there is for what; each is one call of the SQL surface, which decides
whether it makes sense and keeps reason and actor in the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from pgtasker.cli.base import Settings, database_options, find_step, parse_json
from pgtasker.cli.completion import tasks


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb, what it applies to, and the words around it."""

    name: str
    applies_to: tuple[str, ...]
    done: str
    help: str


VERBS = (
    Verb("retry", ("task", "step"), "retrying", "Give failed steps a new round of attempts."),
    Verb("cancel", ("task",), "cancelled", "Cancel a task and its steps."),
    Verb("pause", ("task", "queue"), "paused", "Let no further step of a task or queue start."),
    Verb("resume", ("task", "queue"), "resumed", "Let a paused task or queue go on."),
    Verb("resolve", ("task", "step"), "resolved", "Declare a failed task or step dealt with."),
    Verb("skip", ("step",), "skipped", "Pass over a skippable step."),
)

_TARGETS = {
    ("task",): ("TASK", ""),
    ("step",): ("STEP", "STEP is a step's id, or TASK/NAME."),
    ("task", "step"): ("TASK|TASK/STEP", "TASK/STEP is a step by its name, as in 12/charge."),
    ("task", "queue"): ("TASK|QUEUE", "A number is a task, a name is a queue."),
}


def _command(verb: Verb) -> click.Command:
    metavar, explanation = _TARGETS[verb.applies_to]

    @click.pass_obj
    def act(
        settings: Settings,
        target: str,
        reason: str | None,
        actor: str | None,
        results: str | None = None,
    ) -> None:
        document = parse_json(results, "--results")
        with settings.client() as client:
            kind, found = _find(client, verb, target)
            more = {"results": document} if results is not None else {}
            if more and kind != "step":
                raise click.UsageError("--results are those of a step: give TASK/STEP")
            getattr(client, f"{verb.name}_{kind}")(found, reason=reason, actor=actor, **more)
        click.echo(f"{kind} {found}: {verb.done}")

    command: Any = act
    if verb.name == "resolve":
        text = "JSON that the children of a step receive; - reads standard input."
        command = click.option("--results", metavar="JSON", help=text)(command)
    command = click.option("--actor", metavar="TEXT", help="Who; else the database user.")(command)
    command = click.option("--reason", metavar="TEXT", help="Kept in the log.")(command)
    command = click.argument("target", metavar=metavar, shell_complete=tasks)(
        database_options(command)
    )
    return click.command(verb.name, help=f"{verb.help}\n\n{explanation}")(command)


def _find(client: Any, verb: Verb, target: str) -> tuple[str, int | str]:
    if "step" in verb.applies_to and ("/" in target or "task" not in verb.applies_to):
        return "step", find_step(client, target)
    if target.isdecimal():
        return "task", int(target)
    if "queue" in verb.applies_to:
        return "queue", target
    raise click.UsageError(f"{target!r} is no task: give its number")


COMMANDS = tuple(_command(verb) for verb in VERBS)
