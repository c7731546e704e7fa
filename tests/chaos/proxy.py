"""A TCP proxy before a server, which can lose the answer to what was committed, or fall silent.

Responsible for passing bytes on, and for two faults. It lets a statement through, waits until the
server says that it is ready again, so that the statement has committed, and then cuts the
connection instead of passing the answer on (or before the statement, or after the answer). Or it
passes nothing on for a while, and cuts nothing.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from .fleet import until

READY = b"Z"  # the message with which the server ends the answer to a statement
HEAD = 5  # bytes: the kind of a message and its length
UNSENT, COMMITTED, ANSWERED = POINTS = ("commit unsent", "committed", "commit answered")


class Proxy:
    """Listens on a port of loopback; `cut` says which statement loses its answer next."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server((host, 0))
        self.port = int(self._listener.getsockname()[1])
        self.cuts = 0
        self._armed: tuple[bytes, str, Callable[[], object]] | None = None
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._closing = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(
        self, statement: str, point: str = COMMITTED, act: Callable[[], object] = lambda: None
    ) -> None:
        """The answer to the next statement that has this in its text will be lost.

        Or its connection is cut at another point; `act` is called right before that.
        """
        with self._lock:
            self._armed = (statement.encode(), point, act)

    def lose(
        self, statement: str, point: str = COMMITTED, act: Callable[[], object] = lambda: None
    ) -> None:
        """The same, and wait until it is lost."""
        cuts = self.cuts
        self.cut(statement, point, act)
        until(lambda: self.cuts > cuts, f"an answer to {statement} is lost")

    def stall(self) -> None:
        """Pass nothing on, in either direction, until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on what has waited, and go on."""
        self._flowing.set()

    def close(self) -> None:
        """Listen no more; connections end with their peers."""
        self._closing = True
        self._flowing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        answer: bytes | None = None  # what is kept back once the answer is to be lost
        point, act = COMMITTED, None
        with client, server, selectors.DefaultSelector() as ready, suppress(OSError):
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    self._flowing.wait()
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        return
                    if key.fileobj is client:
                        if armed := self._disarmed(data):
                            answer, (_, point, act) = b"", armed
                        if answer is None or point != UNSENT:
                            server.sendall(data)
                    elif answer is None:
                        client.sendall(data)
                    else:
                        answer += data
                        if point == ANSWERED:
                            client.sendall(data)
                    if act and (point == UNSENT or (answer and _is_ready(answer))):
                        act()
                        self.cuts += 1
                        return

    def _disarmed(self, data: bytes) -> tuple[bytes, str, Callable[[], object]] | None:
        """What was to happen, if this is the statement."""
        with self._lock:
            if self._armed is None or self._armed[0] not in data:
                return None
            armed, self._armed = self._armed, None
            return armed


def _is_ready(answer: bytes) -> bool:
    """Whether the messages so far end with the one that the server is ready."""
    place = 0
    while place + HEAD <= len(answer):
        kind = answer[place : place + 1]
        place += 1 + int.from_bytes(answer[place + 1 : place + HEAD], "big")
        if kind == READY and place <= len(answer):
            return True
    return False
