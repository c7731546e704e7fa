"""`diagram`: the graph of a task or a workflow as Mermaid or DOT.

Responsible for finding what is meant and for what is said of each step. The languages are left to
`pgtasker.diagrams`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from pgtasker.cli.base import Refused, Settings, database_options
from pgtasker.cli.completion import tasks, workflows
from pgtasker.cli.output import took
from pgtasker.client import Client
from pgtasker.diagrams import Format, Node, draw
from pgtasker.documents import is_document_file
from pgtasker.loading import load_documents
from pgtasker.rows import TaskStep


def subjects(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Tasks, workflows of tasks, and files."""
    known = workflows(ctx, parameter, incomplete)
    if incomplete.isdecimal() or not incomplete:
        known = [*tasks(ctx, parameter, incomplete), *known]
    return [*known, CompletionItem(incomplete, type="file")]


@click.command()
@click.argument("subject", metavar="TASK|NAMESPACE/NAME|FILE|MODULE", shell_complete=subjects)
@click.option(
    "--format",
    "language",
    type=click.Choice(["mermaid", "dot"]),
    default="mermaid",
    help="For Markdown pages and wikis, or for Graphviz.",
)
@click.option("--workflow", metavar="NAME", help="Which one, of a FILE or MODULE with several.")
@database_options
@click.pass_obj
def diagram(settings: Settings, subject: str, language: Format, workflow: str | None) -> None:
    """Print the graph of a task or a workflow for Mermaid or Graphviz.

    A TASK is drawn with the states of its steps, and with thick lines where it took longest.
    NAMESPACE/NAME is a workflow as its newest task has it; a FILE or MODULE is what `register`
    takes, and needs no database.
    """
    if workflow is not None and (subject.isdecimal() or _is_stored(subject)):
        raise click.UsageError("--workflow is for a FILE or MODULE")
    if subject.isdecimal():
        with settings.client() as client:
            click.echo(_of_task(client, int(subject), language), nl=False)
    elif _is_stored(subject):
        with settings.client() as client:
            click.echo(_of_stored(client, subject, language), nl=False)
    else:
        click.echo(_of_document(subject, workflow, language), nl=False)


def _is_stored(subject: str) -> bool:
    return "/" in subject and not subject.endswith(".py") and not is_document_file(subject)


def _of_task(client: Client, task_id: int, language: Format) -> str:
    task, steps = client.get_task(task_id), client.get_task_steps(task_id)
    path = {step.name for step in client.get_critical_path(task_id)} if task.at_rest else set()
    nodes = [
        Node(step.name, step.depends_on, step.state, _note(step), step.name in path)
        for step in steps
    ]
    title = f"task {task_id}, {task.namespace}/{task.name} {task.version}: {task.state}"
    return draw(nodes, title, language)


def _note(step: TaskStep) -> str:
    attempts = f" {step.attempts}/{step.retry_limit}" if step.state == "error" else ""
    duration = took(step.started_at, step.finished_at)
    return step.state.replace("_", " ") + attempts + (f" {duration}" if duration else "")


def _of_stored(client: Client, subject: str, language: Format) -> str:
    namespace, _, name = subject.partition("/")
    newest = client.list_tasks(namespace=namespace, name=name, limit=1)
    if not newest:
        raise Refused(f"no task of {subject}: give the FILE or MODULE that holds the workflow")
    steps = client.get_task_steps(newest[0].task_id)
    nodes = [Node(step.name, step.depends_on) for step in steps]
    return draw(nodes, f"{subject} {newest[0].version}", language)


def _of_document(target: str, workflow: str | None, language: Format) -> str:
    known = {str(document.get("name")): document for document in load_documents(target)}
    if workflow is None and len(known) == 1:
        [workflow] = known
    if workflow is None or workflow not in known:
        said = "several workflows" if workflow is None else f"no workflow {workflow!r}"
        raise Refused(f"{target!r} holds {said}: choose with --workflow from {', '.join(known)}")
    document = known[workflow]
    namespace, version = document.get("namespace", "default"), document.get("version", "0.1.0")
    try:
        nodes = [_node(step) for step in document["steps"]]
    except (KeyError, TypeError):
        nodes = []
    if not nodes or len({node.name for node in nodes}) < len(nodes):
        raise Refused(
            f"{target!r}: workflow {workflow!r} has no list of steps, each with a name of its own"
        )
    return draw(nodes, f"{namespace}/{workflow} {version}", language)


def _node(step: Mapping[str, Any]) -> Node:
    return Node(str(step["name"]), [str(parent) for parent in step.get("depends_on") or ()])
