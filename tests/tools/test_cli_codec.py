"""PGTASKER_CODEC: the commands, and the runners that they start, encode and decode."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from pgtasker import installer
from pgtasker.cli import main

pytestmark = pytest.mark.newest_only  # what differs between servers is the business of others

SECRET = "4111-1111"
MODULE = """\
import json

from pgtasker import Workflow

pay = Workflow("pay", namespace="codec")


@pay.step
def charge(context):
    return {"charged": context["card"]}


class Backwards:
    def encode(self, value):
        return json.dumps(value)[::-1]

    def decode(self, value):
        return json.loads(value[::-1])


def broken():
    raise KeyError("PAYLOAD_KEY")


class Half:
    def encode(self, value):
        return value
"""


@pytest.fixture
def place(empty_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An install, and a directory with a workflow and a codec: the DSN."""
    with psycopg.connect(empty_dsn) as conn:
        installer.install(conn, "pgtasker")
    (tmp_path / "codec_shop.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PGTASKER_CODEC", "codec_shop:Backwards")
    yield empty_dsn
    sys.modules.pop("codec_shop", None)


def pgtasker(dsn: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--dsn", dsn, *arguments])


def shown(dsn: str) -> Any:
    return json.loads(pgtasker(dsn, "show", "1", "--json").stdout)["task"]


def test_commands_and_their_runners_encode(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start of a task to its results."""
    assert pgtasker(place, "register", "codec_shop.py").exit_code == 0
    assert pgtasker(place, "start", "codec/pay", json.dumps({"card": SECRET})).stdout == "1\n"
    ran = pgtasker(place, "run", "codec_shop.py", "--coordination", "once")
    assert ran.exit_code == 0, ran.output
    assert shown(place)["context"] == {"card": SECRET}
    assert shown(place)["results"] == {"charge": {"charged": SECRET}}
    monkeypatch.delenv("PGTASKER_CODEC")
    assert list(shown(place)["context"]) == ["pgtasker_encoded"]
    assert SECRET not in pgtasker(place, "show", "1/charge", "--json").stdout


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("codec_shop:Nothing", "has no function 'Nothing'"),
        ("codec_shop", "write it as module.function or module:function"),
        ("nowhere:codec", "no module 'nowhere'"),
        ("codec_shop:broken", "PAYLOAD_KEY"),
        ("codec_shop:Half", "there is no method decode"),
    ],
)
def test_a_codec_that_is_none_is_one_line(
    place: str, monkeypatch: pytest.MonkeyPatch, named: str, said: str
) -> None:
    """It says which variable is wrong, and nothing is done."""
    monkeypatch.setenv("PGTASKER_CODEC", named)
    for command in (["start", "codec/pay", "{}"], ["run", "codec_shop.py"]):
        result = pgtasker(place, *command)
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
        assert f"PGTASKER_CODEC={named}: " in result.stderr
        assert said in result.stderr
