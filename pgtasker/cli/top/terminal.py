"""The terminal that `top` draws on, and gives back as it was.

Responsible for modes, sizes, keys and signals, and for leaving on every way out. What is drawn is
left to others.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console
from rich.text import Text

from pgtasker.cli.output import STAND_INS, encodable
from pgtasker.cli.top.view import keys_in

ENTER = "\x1b[?1049h\x1b[?25l"  # the other screen, without a cursor
LEAVE = "\x1b[?25h\x1b[?1049l"
ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminal:
    """Standard input and output, while it is entered; SIGTERM and SIGHUP leave it and exit with 0.

    `wake` may be called on any thread: it ends a wait for keys.
    """

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        self._console = Console(highlight=False)
        self._woken, self._waking = os.pipe()
        os.set_blocking(self._waking, False)
        self._modes: list[Any] | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        handlers = {
            **dict.fromkeys(ENDING, _end),
            signal.SIGWINCH: lambda *_: self.wake(),
            signal.SIGTSTP: self._suspend,
        }
        for number, handler in handlers.items():
            self._handlers[number] = signal.signal(number, handler)
        try:
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)  # nothing comes between
        with suppress(OSError, termios.error):  # of a terminal that is gone
            self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def wake(self) -> None:
        """End the wait for keys."""
        with suppress(BlockingIOError):  # there is a call to wake up already
            os.write(self._waking, b"!")

    def keys(self, seconds: float) -> list[str]:
        """The keys that were pressed, after at most so many seconds."""
        ready, _, _ = select.select([self._input, self._woken], [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._input not in ready:
            return []
        typed = os.read(self._input, 4096)
        return keys_in(typed) if typed else ["end of input"]

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        return max(1, columns), max(1, lines)

    def draw(self, lines: Sequence[Text]) -> None:
        """Replace what is on the screen."""
        columns, _ = self.size()
        self._console.width = columns
        drawn = "\x1b[K\r\n".join(self._drawn(line) for line in lines)
        self._write(f"\x1b[H{drawn}\x1b[K\x1b[J")

    def _drawn(self, line: Text) -> str:
        text = line if encodable(line.plain) else Text(line.plain.translate(STAND_INS))
        with self._console.capture() as captured:
            self._console.print(text, end="", soft_wrap=True)
        return captured.get()

    def _take(self) -> None:
        self._modes = termios.tcgetattr(self._input)
        tty.setcbreak(self._input)
        self._write(ENTER)

    def _give_back(self) -> None:
        if self._modes is not None:
            self._write(LEAVE)
            termios.tcsetattr(self._input, termios.TCSAFLUSH, self._modes)
            self._modes = None

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when continued."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()
        self.wake()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
