"""Importing what a command line or a file names: modules, files, functions in them.

Responsible for where they are looked for, and for saying in one line why that failed and on which
line of whose code. What is in them is left to the caller.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from pgtasker.errors import WorkflowError, one_line

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib")})


def import_module(target: str) -> ModuleType:
    """A dotted module (the current directory counts), or a .py file (its directory counts)."""
    try:
        if target.endswith(".py") or "/" in target:
            return _import_file(Path(target).resolve())
        search_first(Path.cwd())
        return importlib.import_module(target)
    except WorkflowError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (target == error.name or target.startswith(f"{error.name}.")):
            raise WorkflowError(
                f"no module {target!r}: give a dotted module or the path of a .py file"
            ) from error
        raise _failed(target, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(target, error) from error


def import_function(path: str) -> Callable[..., Any]:
    """The function that module.function or module:function names."""
    module_name, colon, name = path.partition(":")
    if not colon:
        module_name, _, name = path.rpartition(".")
    if not module_name or not name:
        raise WorkflowError("write it as module.function or module:function")
    found: Any = import_module(module_name)
    for part in name.split("."):
        holder, found = found, getattr(found, part, None)
        if found is None:
            close = difflib.get_close_matches(part, vars(holder), n=1)
            advice = f"; did you mean {close[0]!r}?" if close else ""
            raise WorkflowError(f"module {module_name!r} has no function {name!r}{advice}")
    if not callable(found):
        raise WorkflowError(f"{name!r} in module {module_name!r} is no function")
    function: Callable[..., Any] = found
    return function


def search_first(directory: Path) -> None:
    """Look for modules in this directory before any other."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


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
    search_first(path.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _failed(target: str, error: BaseException) -> WorkflowError:
    text = error.msg if isinstance(error, SyntaxError) else one_line(error)
    kind = type(error).__name__
    said = kind if text == kind else f"{kind}: {text}"
    place = _place(error)
    return WorkflowError(f"module {target!r} cannot be imported: {said}{place and f' ({place})'}")


def _place(error: BaseException) -> str:
    """The innermost line outside of libraries, else the innermost one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    own, any_place = "", ""
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(("<", str(Path(__file__).parent))):
            any_place = f"{file}:{trace.tb_lineno}"
            if not file.startswith(_LIBRARIES):
                own = any_place
        trace = trace.tb_next
    return own or any_place
