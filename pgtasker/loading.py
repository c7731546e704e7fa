"""Finding workflows in modules: what `pgtasker run MODULE...` means by a module.

Responsible for importing a dotted module or a file and for saying in one line why that failed. What
is done with the workflows is left to the caller.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from pgtasker.documents import is_document_file, read_documents, registered
from pgtasker.errors import WorkflowError, one_line
from pgtasker.workflow import Workflow


def load_workflows(*targets: str) -> list[Workflow]:
    """The workflows that the modules hold, each once, in the order in which they are found.

    A target is a dotted module (the current directory counts) or the path of a .py file (its
    directory counts). A workflow that a module imports from elsewhere counts as the module's.
    """
    found: dict[int, Workflow] = {}
    for target in targets:
        values = vars(_import(target)).values()
        workflows = [value for value in values if isinstance(value, Workflow)]
        if not workflows:
            raise WorkflowError(f"module {target!r} holds no Workflow")
        found.update({id(workflow): workflow for workflow in workflows})
    return list(found.values())


def load_documents(target: str) -> list[dict[str, Any]]:
    """The documents of a target's workflows, as `register_workflow` takes them.

    A target is a module, as for `load_workflows`, or a .json, .yaml or .yml file. The steps of a
    file need no handlers here: they may be for runners elsewhere, in other languages.
    """
    if is_document_file(target):
        return [registered(document) for document in read_documents(Path(target))]
    return [workflow.definition() for workflow in load_workflows(target)]


def _import(target: str) -> ModuleType:
    try:
        if target.endswith(".py") or "/" in target:
            return _import_file(Path(target).resolve())
        _search_first(Path.cwd())
        return importlib.import_module(target)
    except WorkflowError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (target == error.name or target.startswith(f"{error.name}.")):
            raise WorkflowError(
                f"no module {target!r}: give a dotted module or the path of a .py file"
            ) from error
        raise WorkflowError(f"module {target!r} cannot be imported: {one_line(error)}") from error
    except Exception as error:
        raise WorkflowError(
            f"module {target!r} cannot be imported: {type(error).__name__}: {one_line(error)}"
        ) from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise WorkflowError(f"no file {str(path)!r}: give the path of a .py file")
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if loaded is not None or spec is None or spec.loader is None:
        raise WorkflowError(
            f"file {str(path)!r} cannot be imported as module {path.stem!r}: rename it to "
            "NAME.py, with a name that no other module bears"
        )
    _search_first(path.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _search_first(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
