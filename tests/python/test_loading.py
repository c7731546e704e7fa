"""Loading modules: where workflows are found, and what is said when there are none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgtasker import WorkflowError, load_workflows


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    """What a test imports is forgotten after it."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with two modules of one workflow each, as the current directory."""
    (tmp_path / "shop_flows.py").write_text(
        "from pgtasker import Workflow\nfulfil = Workflow('fulfil')\nalias = fulfil\n"
    )
    (tmp_path / "more_flows.py").write_text(
        "from pgtasker import Workflow\nfrom shop_flows import fulfil\nbill = Workflow('bill')\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_dotted_module_is_found_in_the_current_directory(project: Path):
    """Workflows are found once each, in the order of the modules, imported ones included."""
    assert [flow.name for flow in load_workflows("shop_flows", "more_flows")] == ["fulfil", "bill"]


def test_a_file_is_loaded_with_its_neighbours(project: Path, monkeypatch: pytest.MonkeyPatch):
    """A path works from anywhere, its directory counts for imports, and it is imported once."""
    monkeypatch.chdir("/")
    path = str(project / "more_flows.py")
    (first, bill), again = load_workflows(path), load_workflows(path)
    assert (first.name, bill.name) == ("fulfil", "bill")
    assert again == [first, bill]


def test_a_missing_module_is_told_from_a_missing_import(project: Path):
    """The error says whether the module is absent or something that it imports."""
    (project / "needy.py").write_text("import surely_not_there\n")
    with pytest.raises(
        WorkflowError, match=r"^no module 'shop_flaws': give a dotted module or the"
    ):
        load_workflows("shop_flaws")
    with pytest.raises(
        WorkflowError, match=r"'needy' .* No module named 'surely_not_there' \(.*needy\.py:1\)$"
    ):
        load_workflows("needy")


def test_a_module_that_fails_says_how_in_one_line(project: Path):
    """Type and message of whatever the module raised are in the error."""
    (project / "broken.py").write_text("raise RuntimeError('one\\ntwo')\n")
    for target in ("broken", str(project / "broken.py")):
        with pytest.raises(
            WorkflowError, match=r"cannot be imported: RuntimeError: one \(.*broken\.py:1\)$"
        ):
            load_workflows(target)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n\nimport json\njson.loads('{')\n", r"JSONDecodeError: .* \(.*broken\.py:4\)$"),
        ("import helper\nhelper.work()\n", r"KeyError: 'x' \(.*helper\.py:2\)$"),
        ("def a(:\n", r"SyntaxError: invalid syntax \(.*broken\.py:1\)$"),
        ("raise SystemExit(3)\n", r"SystemExit: 3 \(.*broken\.py:1\)$"),
        ("raise ValueError\n", r"ValueError \(.*broken\.py:1\)$"),
        (
            "from pgtasker import Workflow\nflow = Workflow('f')\n@flow.step(retries=3)\n"
            "def a(): ...\n",
            r"TypeError: a step has no option 'retries': .*broken\.py:3\)$",
        ),
    ],
)
def test_a_failure_is_placed_in_the_users_own_code(project: Path, text: str, said: str):
    """Not in the library that raised it."""
    (project / "helper.py").write_text("def work():\n    return {}['x']\n")
    (project / "broken.py").write_text(text)
    with pytest.raises(WorkflowError, match=rf"^module 'broken' cannot be imported: {said}"):
        load_workflows("broken")


def test_a_mistake_that_only_the_whole_module_shows_is_found(project: Path):
    """Types that are defined after the functions that name them are compared when all is there."""
    (project / "typed.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from pgtasker import Workflow\n"
        "flow = Workflow('f')\n"
        "@flow.step\n"
        "def a(context: A): ...\n"
        "@flow.step\n"
        "def b(context: B): ...\n"
        "@dataclass\n"
        "class A: n: int\n"
        "@dataclass\n"
        "class B: n: int\n"
    )
    with pytest.raises(WorkflowError, match=r"step 'b' .*typed\.py:7\) takes .* at .*typed\.py:5:"):
        load_workflows("typed")


def test_a_module_without_workflows_is_refused(project: Path):
    """A runner that would never do anything does not start."""
    (project / "empty.py").write_text("")
    with pytest.raises(WorkflowError, match="module 'empty' holds no Workflow"):
        load_workflows("empty")


def test_a_file_cannot_take_the_name_of_a_loaded_module(project: Path):
    """A file named like another module is refused instead of replacing it."""
    (project / "json.py").write_text("")
    with pytest.raises(WorkflowError, match="rename it"):
        load_workflows(str(project / "json.py"))
    with pytest.raises(WorkflowError, match="no file"):
        load_workflows("nowhere/flows.py")
