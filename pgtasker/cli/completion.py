"""`completion`: what a shell needs to complete commands, options, tasks and steps.

Responsible for the script and for what it asks back. A completion never starts a server and never
says what went wrong: it just has nothing to offer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

import click
from click.shell_completion import CompletionItem, get_completion_class

from pgtasker.cli.base import Settings
from pgtasker.client import Client
from pgtasker.dsn import connection_string
from pgtasker.rows import TaskListEntry

PROGRAM = "pgtasker"
VARIABLE = "_PGTASKER_COMPLETE"
OFFERED = 30  # tasks
HOW = {
    "bash": '# In ~/.bashrc:  eval "$(pgtasker completion bash)"',
    "zsh": '# In ~/.zshrc, after compinit:  eval "$(pgtasker completion zsh)"',
    "fish": "# In a shell:  pgtasker completion fish > ~/.config/fish/completions/pgtasker.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(HOW)))
def completion(shell: str) -> None:
    """Print the script that completes in a shell.

    Its first lines say how to install it.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(click.get_current_context().find_root().command, {}, PROGRAM, VARIABLE)
    source = script.source_template % script.source_vars()
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("#"):  # what zsh wants to read first
        click.echo(f"{first}\n{HOW[shell]}\n{rest}")
    else:
        click.echo(f"{HOW[shell]}\n{first}\n{rest}")


def tasks(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest tasks; after TASK/ the steps of that task."""
    offered: list[CompletionItem] = []
    with suppress(Exception), _client(ctx) as client:
        task, slash, _name = incomplete.partition("/")
        if slash:
            offered = [
                CompletionItem(f"{task}/{step.name}", help=step.state)
                for step in client.get_task_steps(int(task))
            ]
        else:
            offered = [
                CompletionItem(str(task.task_id), help=f"{task.namespace}/{task.name} {task.state}")
                for task in client.list_tasks(limit=OFFERED)
            ]
    return [item for item in offered if item.value.startswith(incomplete)]


def workflows(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The workflows of the newest tasks, as NAMESPACE/NAME."""
    return _of_tasks(ctx, incomplete, lambda task: [f"{task.namespace}/{task.name}"])


def namespaces(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The namespaces of the newest tasks."""
    return _of_tasks(ctx, incomplete, lambda task: [task.namespace])


def names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the workflows of the newest tasks."""
    return _of_tasks(ctx, incomplete, lambda task: [task.name])


def tags(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The tags of the newest tasks."""
    return _of_tasks(ctx, incomplete, lambda task: task.tags)


def _of_tasks(
    ctx: click.Context, incomplete: str, words: Callable[[TaskListEntry], Iterable[str]]
) -> list[CompletionItem]:
    found: dict[str, None] = {}
    with suppress(Exception), _client(ctx) as client:
        newest = client.list_tasks(limit=10 * OFFERED)
        found = dict.fromkeys(word for task in newest for word in words(task))
    return [CompletionItem(word) for word in found if word.startswith(incomplete)]


def _client(ctx: click.Context) -> Client:
    settings = ctx.find_object(Settings) or Settings()
    dsn = settings.dsn or os.environ.get("PGTASKER_DSN") or ""
    if dsn.strip() == "embedded":
        from pgtasker import embedded

        running = embedded.dsn()
        if running is None:
            raise LookupError("the embedded server does not run")
        dsn = running
    return Client(f"{connection_string(dsn)} connect_timeout=2", schema=settings.schema)
