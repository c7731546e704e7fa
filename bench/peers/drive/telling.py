"""What every driver shares: its arguments, and telling when handlers started.

Responsible for the file to which each start is appended. Imports nothing but the standard library:
drivers run in the environments of the engines they drive.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Iterator

COMMAND, DSN, *ARGUMENTS = sys.argv[1:] or ["", ""]
BULK = 1000  # of what is started in one call, or in one transaction
PAYLOAD = "x" * 185

_starts = os.open(os.environ.get("STARTS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def started(asked_at: float) -> None:
    """A handler starts now; it was asked for at a moment of the monotonic clock (0: whenever)."""
    os.write(_starts, struct.pack("dd", time.monotonic(), asked_at))


def argument(number: int) -> int:
    return int(ARGUMENTS[number])


def portions(total: int) -> Iterator[int]:
    """So many in portions of BULK."""
    for start in range(0, total, BULK):
        yield min(BULK, total - start)


def every_tenth_of_a_second(total: int) -> Iterator[None]:
    """The moments at which so many are to be started."""
    due = time.monotonic()
    for _ in range(total):
        due += 0.1
        time.sleep(max(0.0, due - time.monotonic()))
        yield
