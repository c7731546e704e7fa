"""`register`, `start`: workflows and their tasks."""

from __future__ import annotations

from datetime import datetime

import click

from pgtasker.cli.base import Refused, Settings, database_options, json_option, parse_json
from pgtasker.cli.completion import workflows
from pgtasker.cli.output import error_line, print_json
from pgtasker.cli.times import moment
from pgtasker.loading import load_documents
from pgtasker.redaction import Redaction


@click.command()
@click.argument("target", metavar="FILE|MODULE")
@database_options
@click.pass_obj
def register(settings: Settings, target: str) -> None:
    """Store the workflows of a module or a file.

    A FILE is JSON or YAML, or a .py file as a MODULE is.
    What is stored under a known version replaces it for future tasks.
    """
    documents = load_documents(target)
    with settings.client() as client:
        for document in documents:
            client.register(document)
            name, version = document.get("name"), document.get("version", "0.1.0")
            click.echo(f"registered {document.get('namespace', 'default')}/{name} {version}")


@click.command()
@click.argument("workflow", metavar="[NAMESPACE/]NAME", shell_complete=workflows)
@click.argument("context", required=False)
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key gives the same task.")
@click.option("--priority", type=int, help="Higher goes first; else that of the steps.")
@click.option("--run-at", metavar="TIME", callback=moment, help="Not before this time (ISO 8601).")
@click.option("--tag", "tags", multiple=True, metavar="TEXT", help="Any number of them.")
@click.option("--version", metavar="VERSION", help="Else the highest one.")
@click.option("--bypass", multiple=True, metavar="STEP", help="Skip this skippable step.")
@click.option("--reason", metavar="TEXT", help="Kept with the task.")
@click.option("--wait", is_flag=True, help="Wait for the end; exit status 1 unless it is complete.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Wait no longer than this.")
@json_option
@database_options
@click.pass_obj
def start(
    settings: Settings,
    workflow: str,
    context: str | None,
    key: str | None,
    priority: int | None,
    run_at: datetime | None,
    tags: tuple[str, ...],
    version: str | None,
    bypass: tuple[str, ...],
    reason: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Start a task and print its id.

    CONTEXT is a JSON object, or - to read it from standard input. The exit status is 1 also for a
    task that has failed already, as one does whose context does not fit.
    """
    document = parse_json(context, "CONTEXT")
    with settings.client() as client:
        task_id = client.start(
            workflow,
            document,
            version=version,
            idempotency_key=key,
            priority=priority,
            run_at=run_at,
            reason=reason,
            tags=list(tags) or None,
            bypass_steps=list(bypass) or None,
        )
        if not as_json:
            click.echo(task_id)
        elif not wait:
            print_json({"task_id": task_id})
        task = client.wait(task_id, timeout=timeout) if wait else client.get_task(task_id)
        task = Redaction.configured(client.get_setting).learn(task)(task)
    if wait and (as_json or task.results):
        print_json(task if as_json else task.results)
    if task.state != "complete" if wait else task.state == "error":
        failures = (task.error or {}).items()
        reasons = "; ".join(f"{step}: {error_line(error)}" for step, error in failures)
        raise Refused(f"task {task_id} is {task.state}{f' ({reasons})' if reasons else ''}")


COMMANDS = (register, start)
