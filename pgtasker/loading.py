"""Finding workflows: what `pgtasker run MODULE|FILE...` means by a module and by a file.

Responsible for the workflows in a module, and for those that a JSON or YAML file describes. What is
done with them is left to the caller.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pgtasker.declarations import registered
from pgtasker.documents import is_document_file, read_documents
from pgtasker.errors import WorkflowError
from pgtasker.importing import import_module, search_first
from pgtasker.workflow import Workflow


def load_workflows(*targets: str) -> list[Workflow]:
    """The workflows that the targets hold, each once, in the order in which they are found.

    A target is a dotted module (the current directory counts), the path of a .py file (its
    directory counts), or that of a .json, .yaml or .yml file: one workflow or a list of them, whose
    handlers are imported (the directory of the file counts) as `Workflow.from_document` says. A
    workflow that a module imports from elsewhere counts as the module's.

    Raises WorkflowError, whose one line names the target and the place of the mistake.
    """
    found: dict[int, Workflow] = {}
    for target in targets:
        workflows = _of_file(target) if is_document_file(target) else _of_module(target)
        found.update({id(workflow): workflow for workflow in workflows})
    return list(found.values())


def load_documents(target: str) -> list[dict[str, Any]]:
    """The documents of a target's workflows, as `register_workflow` takes them.

    A target is what it is for `load_workflows`; but the steps of a JSON or YAML file need no
    handlers here: they may be for runners elsewhere, in other languages.
    """
    if is_document_file(target):
        return [registered(document) for document in read_documents(Path(target))]
    return [workflow.definition() for workflow in load_workflows(target)]


def _of_module(target: str) -> list[Workflow]:
    values = vars(import_module(target)).values()
    workflows = [value for value in values if isinstance(value, Workflow)]
    if not workflows:
        raise WorkflowError(f"module {target!r} holds no Workflow")
    for workflow in workflows:
        workflow.definition()  # the types of some annotations exist only by now
    return workflows


def _of_file(target: str) -> list[Workflow]:
    documents = read_documents(Path(target))
    search_first(Path(target).resolve().parent)
    workflows = []
    for document in documents:
        try:
            workflow = Workflow.from_document(document)
        except WorkflowError as error:
            raise WorkflowError(f"{target!r}: {error}") from error
        if not workflow.steps:
            raise WorkflowError(
                f"{target!r}: no step of workflow {workflow.name!r} has a handler: "
                "a runner could do nothing"
            )
        workflows.append(workflow)
    return workflows
