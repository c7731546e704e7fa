"""What a runner and its worker processes say to each other, as bytes on a socket.

Responsible for the form alone: a length, then a pickle. Both ends are one program on one machine.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from dataclasses import dataclass
from typing import Any

from pgtasker.rows import ClaimedStep

_LENGTH = 8  # bytes

Message = tuple[Any, ...]  # its name, and what belongs to it


@dataclass(frozen=True, slots=True)
class Job:
    """An attempt for a worker: `step` is the pickled step, `main` what finds the main module."""

    step: bytes
    main: dict[str, Any]
    claim: ClaimedStep
    ids: dict[str, Any]


def packed(message: Message) -> bytes:
    """A message as a frame."""
    content = pickle.dumps(message)
    return len(content).to_bytes(_LENGTH) + content


async def read(reader: asyncio.StreamReader) -> Message:
    """The next message; raises EOFError when there will be none."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH))
        content = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise EOFError from error
    return _message(content)


def receive(line: socket.socket) -> Message:
    """The next message, waiting for it; raises EOFError when there will be none."""
    length = int.from_bytes(_receive_exactly(line, _LENGTH))
    return _message(_receive_exactly(line, length))


def _receive_exactly(line: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        try:
            piece = line.recv(length - len(content))
        except OSError as error:
            raise EOFError from error
        if not piece:
            raise EOFError
        content += piece
    return bytes(content)


def _message(content: bytes) -> Message:
    message: Message = pickle.loads(content)
    return message
