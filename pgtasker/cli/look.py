"""`list`, `show`, `why`: what the database knows, as tables for people or JSON for programs."""

from __future__ import annotations

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pgtasker.cli.base import Settings, database_options, find_step, json_option
from pgtasker.cli.output import (
    STATE_STYLES,
    error_line,
    indented,
    moment,
    print_json,
    state,
    table,
    took,
)
from pgtasker.cli.output import show as show_picture
from pgtasker.rows import Task, TaskStep

TASK_STATES = [name for name in STATE_STYLES if name != "skipped"]


@click.command("list")
@click.option("--state", "wanted", type=click.Choice(TASK_STATES), help="Only in this state.")
@click.option("--namespace", metavar="NAME", help="Only of this namespace.")
@click.option("--name", metavar="NAME", help="Only of this workflow.")
@click.option("--tag", metavar="TEXT", help="Only with this tag.")
@click.option("--limit", type=click.IntRange(min=1), default=20, help="The newest so many.")
@json_option
@database_options
@click.pass_obj
def list_tasks(
    settings: Settings,
    wanted: str | None,
    namespace: str | None,
    name: str | None,
    tag: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List tasks, the newest first."""
    with settings.client() as client:
        tasks = client.list_tasks(
            namespace=namespace, name=name, state=wanted, tag=tag, limit=limit
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
@click.argument("task_id", type=int, metavar="TASK")
@json_option
@database_options
@click.pass_obj
def show(settings: Settings, task_id: int, as_json: bool) -> None:
    """Show a task and its steps."""
    with settings.client() as client:
        task, steps = client.get_task(task_id), client.get_task_steps(task_id)
    if as_json:
        print_json({"task": task, "steps": steps})
    else:
        remarks = [Text(), _remarks(steps)] if any(map(_remark, steps)) else []
        show_picture(Group(_headline(task), Text(), _steps(steps), *remarks))


def _headline(task: Task) -> Text:
    text = Text.assemble(
        (f"task {task.task_id}", "bold"),
        f"  {task.namespace}/{task.name} {task.version}  ",
        state(task.state, paused=task.paused),
        f"  {task.processed_steps} of {task.total_steps} steps done",
    )
    times = [("created", task.created_at), ("runs at", task.run_at), ("ended", task.finished_at)]
    text.append("\n" + ", ".join(f"{word} {moment(at)}" for word, at in times if at))
    if duration := took(task.started_at, task.finished_at):
        text.append(f", took {duration}")
    for word, value in (("tags", ", ".join(task.tags)), ("key", task.idempotency_key)):
        if value:
            text.append(f"\n{word}: {value}")
    return text


def _steps(steps: list[TaskStep]) -> Table:
    rows = [
        (
            name,
            str(step.workflow_step_id),
            state(step.state),
            f"{step.attempts}/{step.retry_limit}",
            took(step.started_at, step.finished_at),
            ", ".join(step.depends_on),
        )
        for name, step in zip(indented(steps), steps, strict=True)
    ]
    made = table(("step", "#id", "state", "#attempts", "#took", "after"), rows)
    for column in made.columns[:-1]:
        column.no_wrap = True  # where it is narrow, fold the list of parents alone
    return made


def _remarks(steps: list[TaskStep]) -> Text:
    said = ((step.name, _remark(step)) for step in steps)
    return Text("\n".join(f"{name}: {remark}" for name, remark in said if remark))


def _remark(step: TaskStep) -> str:
    remarks = []
    if step.error is not None:
        earlier = "earlier: " if step.state == "complete" else ""
        remarks.append(earlier + error_line(step.error))
    if step.due_at is not None and step.state in ("pending", "error"):
        remarks.append(f"next attempt {moment(step.due_at)}")
    if step.state == "in_progress" and step.runner:
        remarks.append(f"on {step.runner}")
    return "; ".join(remarks)


@click.command()
@click.argument("step", metavar="STEP")
@json_option
@database_options
@click.pass_obj
def why(settings: Settings, step: str, as_json: bool) -> None:
    """Say why a step is not running.

    STEP is its id, or TASK/NAME.
    """
    with settings.client() as client:
        workflow_step_id = find_step(client, step)
        reasons = client.explain_step(workflow_step_id)
    if as_json:
        print_json({"workflow_step_id": workflow_step_id, "reasons": reasons})
        return
    for reason in reasons:
        click.echo(reason.explanation)


COMMANDS = (list_tasks, show, why)
