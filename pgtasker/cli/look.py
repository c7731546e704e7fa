"""`list`, `why`: what the database knows, as tables for people or JSON for programs."""

from __future__ import annotations

from datetime import timedelta

import click
from rich.text import Text

from pgtasker import surface
from pgtasker.cli.base import Settings, database_options, find_step, json_option
from pgtasker.cli.completion import names as complete_names
from pgtasker.cli.completion import namespaces, tags
from pgtasker.cli.completion import tasks as complete_tasks
from pgtasker.cli.output import (
    STATE_STYLES,
    moment,
    paragraph,
    print_json,
    print_lines,
    state,
    table,
    took,
)
from pgtasker.cli.output import show as show_picture
from pgtasker.cli.times import Since, since_option
from pgtasker.client import Client
from pgtasker.redaction import Redaction

TASK_STATES = [name for name in STATE_STYLES if name != "skipped"]
NOT_OVER = ("pending", "in_progress", "error")
NAMED = 5  # steps that are named before the rest is counted


@click.command("list")
@click.option("--all", "tier", flag_value="all", default=True, help="Whatever there is.")
@click.option(
    "--active", "tier", flag_value="active", help="Only what is not over; an error is not the end."
)
@click.option(
    "--recent",
    "tier",
    flag_value="recent",
    help="Only what was created in the last days, as many as the setting recent_days says.",
)
@click.option(
    "--state", "states", type=click.Choice(TASK_STATES), multiple=True, help="Only in this state."
)
@click.option("--attention", is_flag=True, help="Only what wants a person, as --state error does.")
@since_option("Only what was created since")
@click.option(
    "--namespace", metavar="NAME", shell_complete=namespaces, help="Only of this namespace."
)
@click.option(
    "--name", metavar="NAME", shell_complete=complete_names, help="Only of this workflow."
)
@click.option("--tag", metavar="TEXT", shell_complete=tags, help="Only with this tag.")
@click.option(
    "--before",
    type=click.IntRange(min=1),
    metavar="TASK",
    shell_complete=complete_tasks,
    help="Only older ones than this task: the next page.",
)
@click.option("--limit", type=click.IntRange(min=1), default=20, help="The newest so many.")
@json_option
@database_options
@click.pass_obj
def list_tasks(
    settings: Settings,
    tier: str,
    states: tuple[str, ...],
    attention: bool,
    since: Since | None,
    namespace: str | None,
    name: str | None,
    tag: str | None,
    before: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """List tasks, the newest first."""
    wanted = {*states, *(["error"] if attention else [])}
    with settings.client() as client:
        begins = [since.before(client)] if since else []
        if tier == "recent":
            days = timedelta(days=int(client.get_setting("recent_days")))
            begins.append(Since(ago=days).before(client))
        tasks = client.list_tasks(
            namespace=namespace,
            name=name,
            state=sorted(wanted) or None,
            tag=tag,
            active=True if tier == "active" else None,
            created_since=max(begins, default=None),
            before_task_id=before,
            limit=limit,
        )
    if as_json:
        print_json(tasks)
    elif not tasks:
        click.echo("no tasks")
    else:
        rows = [
            (
                str(task.task_id),
                f"{task.namespace}/{task.name}",
                task.version,
                state(task.state, paused=task.paused),
                f"{task.processed_steps}/{task.total_steps}",
                moment(task.created_at),
                took(task.started_at, task.finished_at),
            )
            for task in tasks
        ]
        columns = ("#task", "workflow", "version", "state", "#steps", "created", "#took")
        show_picture(table(columns, rows))


@click.command()
@click.argument("subject", metavar="STEP|TASK/", shell_complete=complete_tasks)
@json_option
@database_options
@click.pass_obj
def why(settings: Settings, subject: str, as_json: bool) -> None:
    """Say why steps are not running.

    STEP is TASK/NAME as in 12/charge, or its id; TASK/ as in 12/ are all steps of a task.
    """
    with settings.client() as client:
        if subject[:-1].isdecimal() and subject.endswith("/"):
            _why_task(client, int(subject[:-1]), as_json=as_json)
            return
        workflow_step_id = find_step(client, subject)
        reasons = client.explain_step(workflow_step_id)
        place = client.call(surface.step_place(workflow_step_id))
        if place:
            reasons = _redaction(client, place[0])(reasons)
    if as_json:
        print_json({"workflow_step_id": workflow_step_id, "reasons": reasons})
        return
    if place and subject.isdecimal():
        click.echo(f"step {workflow_step_id}, {place[1]} of task {place[0]}:")
    for reason in reasons:
        print_lines(paragraph(reason.explanation))


def _redaction(client: Client, task_id: int) -> Redaction:
    """What is hidden in the context and the results of a task is hidden in reasons too."""
    redaction = Redaction.configured(client.get_setting)
    return redaction.learn(client.get_task(task_id), client.get_task_steps(task_id))


def _why_task(client: Client, task_id: int, *, as_json: bool) -> None:
    """Every step that is not over; steps with the same reasons are named together."""
    task = client.get_task(task_id)
    steps = [step for step in client.get_task_steps(task_id) if step.state in NOT_OVER]
    hide = _redaction(client, task_id)
    reasons = {step.name: hide(client.explain_step(step.workflow_step_id)) for step in steps}
    if as_json:
        print_json({"task_id": task_id, "state": task.state, "reasons": reasons})
        return
    if not steps:
        click.echo(f"task {task_id} is {task.state}: every step is over")
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, given in reasons.items():
        alike.setdefault(tuple(reason.explanation for reason in given), []).append(name)
    for explanations, names in alike.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        click.echo(f"{', '.join(names[:NAMED])}{more}:")
        for explanation in explanations:
            print_lines(paragraph(explanation, Text(" ")))
