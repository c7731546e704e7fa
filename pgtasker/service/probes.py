"""Answers to whoever watches a process: Kubernetes, systemd, a script.

Responsible for an HTTP port (/livez, /readyz), a file that is touched while the process is live,
and systemd's notifications. Whether it is live and ready is asked of the process itself, once a
second and for each request, on threads of their own: a blocked event loop cannot keep them silent.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, is_dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from pgtasker.errors import ConfigurationError

LOOK_EVERY = 1.0  # seconds between two looks at the process
TOUCH_EVERY = 3.0  # seconds between two touches of the file
PATIENCE = 5.0  # seconds that a client may take to send its request


class Vitals(Protocol):
    """What a process says about itself; a dataclass, whose fields are the body of an answer."""

    @property
    def live(self) -> bool:
        """Whether it works, or can without help: if not, it should be restarted."""

    @property
    def ready(self) -> bool:
        """Whether it does its work now."""


Ask = Callable[[], Vitals]


class Probes:
    """Answers while it is entered; `ask` is called on its threads.

    `port` opens the HTTP port on `host` (all addresses of this machine unless given), `file` is
    touched every few seconds and removed at the end. systemd is told if it asks to be
    (NOTIFY_SOCKET). Raises ConfigurationError if the port or the file cannot be used.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        host: str | None = None,
        port: int | None = None,
        file: Path | None = None,
    ) -> None:
        self._ask = ask
        self._host = host
        self._port = port
        self._file = file
        self._stack = ExitStack()
        self._ended = threading.Event()
        self.address: tuple[str, int] | None = None  # of the HTTP port, once it is open

    def __enter__(self) -> Self:
        with self._stack:
            if self._port is not None:
                self._stack.callback(self._serve(self._host, self._port))
            if self._file is not None:
                _touch(self._file)
                self._stack.callback(self._file.unlink, missing_ok=True)
            told = [Systemd.from_environment()]
            thread = threading.Thread(target=self._watch, args=told, name="probes", daemon=True)
            thread.start()
            self._stack.callback(thread.join)
            self._stack.callback(self._ended.set)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _watch(self, systemd: Systemd) -> None:
        touched = time.monotonic()
        while not self._ended.wait(LOOK_EVERY):
            vitals = self._ask()
            systemd.see(vitals)
            if self._file is not None and vitals.live and time.monotonic() - touched > TOUCH_EVERY:
                touched = time.monotonic()
                with suppress(ConfigurationError):  # whoever looks sees that it grows old
                    _touch(self._file)
        systemd.stopping()

    def _serve(self, host: str | None, port: int) -> Callable[[], None]:
        try:
            server = _Server(host, port, self._ask)
        except OSError as error:
            where = f"{host or 'any address'}, port {port}"
            raise ConfigurationError(
                f"cannot answer probes on {where}: {error.strerror}: choose another one"
            ) from error
        self.address = (host or "localhost", int(server.server_address[1]))
        threading.Thread(
            target=server.serve_forever, args=[0.1], name="health", daemon=True
        ).start()

        def close() -> None:
            server.shutdown()
            server.server_close()

        return close


def body(vitals: Vitals) -> dict[str, Any]:
    """What an answer says, as JSON can hold it."""
    if is_dataclass(vitals) and not isinstance(vitals, type):
        return asdict(vitals)
    return {"live": vitals.live, "ready": vitals.ready}


class Systemd:
    """What systemd wants to hear of a service of `Type=notify`, and of one with `WatchdogSec=`."""

    def __init__(self, address: str | None, watchdog: bool = False) -> None:
        self._address = address
        self._watchdog = watchdog
        self._said_ready = self._said_stopping = False

    @classmethod
    def from_environment(cls) -> Self:
        """As the environment asks; it is not passed on, so that no child answers for us."""
        watched = os.environ.pop("WATCHDOG_PID", None) in (None, str(os.getpid()))
        watchdog = os.environ.pop("WATCHDOG_USEC", None) is not None and watched
        return cls(os.environ.pop("NOTIFY_SOCKET", None), watchdog)

    def see(self, vitals: Vitals) -> None:
        """Say what is new: once that the service is ready or stops, each time that it lives."""
        if vitals.ready and not self._said_ready:
            self._said_ready = True
            self._say("READY=1")
        if getattr(vitals, "stopping", False):
            self.stopping()
        if self._watchdog and vitals.live:
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the service stops, unless that was said."""
        if not self._said_stopping:
            self._said_stopping = True
            self._say("STOPPING=1")

    def _say(self, words: str) -> None:
        if self._address is None:
            return
        address = self._address
        if address.startswith("@"):  # a name outside the file system
            address = "\0" + address[1:]
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to,
        ):
            to.sendto(words.encode(), address)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str | None, port: int, ask: Ask) -> None:
        self.ask = ask
        dual = host is None and socket.has_dualstack_ipv6()
        if dual or (host and ":" in host):
            self.address_family = socket.AF_INET6
        self._dual = dual
        super().__init__((host or "", port), _Answer)

    def server_bind(self) -> None:
        if self._dual:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # The one of http.server asks the name service for our name, which may take long.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's business."""


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE

    def do_GET(self) -> None:
        """200 if it is so, 503 if not; what else is known is in the body."""
        asked = self.path.partition("?")[0]
        if asked not in ("/livez", "/readyz"):
            self._answer(404, {"error": "ask for /livez or /readyz"})
            return
        vitals = self.server.ask()
        holds = vitals.live if asked == "/livez" else vitals.ready
        self._answer(200 if holds else 503, body(vitals))

    def do_HEAD(self) -> None:
        """The status alone."""
        self.do_GET()

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document, default=str).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """A probe every few seconds would fill the log."""


def _touch(file: Path) -> None:
    try:
        file.touch()
        os.utime(file)
    except OSError as error:
        raise ConfigurationError(
            f"cannot touch {str(file)!r}: {error.strerror}: give a path in a directory that exists"
        ) from error
