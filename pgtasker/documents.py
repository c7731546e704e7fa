"""Files that hold workflow documents.

Responsible for reading JSON and YAML files and for saying in one line why one cannot be read. What
a document means is left to `declarations`, whether it is right to `register_workflow`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pgtasker.errors import WorkflowError

SUFFIXES = (".json", ".yaml", ".yml")


def is_document_file(target: str) -> bool:
    """Whether the target is the path of a file with documents, and no module."""
    return target.lower().endswith(SUFFIXES)


def read_documents(file: Path) -> list[dict[str, Any]]:
    """The workflow documents of a file, in order.

    A file holds one document or a list of them; a YAML file may hold several of either, with
    --- between them.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise WorkflowError(f"cannot read {str(file)!r}: {reason}") from error
    try:
        parts = [json.loads(text)] if file.suffix.lower() == ".json" else _yaml(text)
    except (ValueError, RecursionError) as error:
        raise WorkflowError(f"{str(file)!r} cannot be parsed: {error}") from error
    documents = [
        document
        for part in parts
        if part is not None
        for document in (part if isinstance(part, list) else [part])
    ]
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise WorkflowError(
            f"{str(file)!r} holds no workflow: it must be one object, or a list of objects"
        )
    return documents


def _yaml(text: str) -> list[Any]:
    try:
        import yaml
    except ImportError:
        raise WorkflowError(
            "a YAML file needs PyYAML: pip install 'pgtasker[yaml]', or give JSON of the same shape"
        ) from None

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
        """As safe, but a date stays the text that it is in JSON."""

    Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_str)
    try:
        return list(yaml.load_all(text, Loader))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
