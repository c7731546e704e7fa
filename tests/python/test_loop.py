"""An event loop that ends, also if something in it does not."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest

from pgtasker.runner import loop


def test_it_gives_what_the_coroutine_gives():
    """Its result, or its error."""

    async def give(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    assert loop.run(give(7)) == 7
    with pytest.raises(ValueError, match="no"):
        loop.run(give(ValueError("no")))


def test_what_is_left_may_clean_up():
    """It is cancelled, and waited for."""
    cleaned: list[bool] = []

    async def tidy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(True)

    async def main() -> None:
        kept.append(asyncio.create_task(tidy()))
        await asyncio.sleep(0)

    kept: list[asyncio.Task[None]] = []
    loop.run(main())
    assert cleaned == [True]


def test_what_does_not_end_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A coroutine that will not be cancelled, a thread that hangs; nothing is printed about it."""
    monkeypatch.setattr(loop, "PATIENCE", 0.01)
    may_end = threading.Event()

    async def stubborn() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def main() -> None:
        kept.append(asyncio.create_task(stubborn()))
        kept.append(asyncio.create_task(asyncio.to_thread(may_end.wait)))
        await asyncio.sleep(0.01)

    kept: list[asyncio.Task[Any]] = []
    loop.run(main())
    assert not kept[0].done()
    may_end.set()
    kept.clear()
    assert capsys.readouterr().err == ""
