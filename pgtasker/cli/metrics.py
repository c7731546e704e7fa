"""`metrics`: what a monitoring system reads, printed once or served over HTTP.

Responsible for the answers to whoever asks. Which metrics there are is said by the view
`monitoring_metrics`, how they are written by `pgtasker.openmetrics`.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import FrameType

import click
import psycopg

from pgtasker import openmetrics
from pgtasker.cli.base import Settings, database_options, json_option, line_of
from pgtasker.cli.output import print_json
from pgtasker.errors import ConfigurationError, PgtaskerError
from pgtasker.service.logs import redactor

PATIENCE = 5.0  # seconds that a reader may take to send its request


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Answer GET /metrics there until stopped, instead of printing once.",
)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", help="The address of that port.")
@json_option
@database_options
@click.pass_obj
def metrics(settings: Settings, port: int | None, host: str, as_json: bool) -> None:
    """Print metrics for Prometheus and its like (OpenMetrics text).

    They are those of the whole install, whichever machine they are read on: one place that asks is
    enough.
    """
    if port is not None:
        if as_json:
            raise click.UsageError("--json is for printing once, without --port")
        _serve(settings, host, port)
        return
    with settings.client() as client:
        found = client.monitoring_metrics()
    if as_json:
        print_json(found)
    else:
        click.echo(openmetrics.render(found), nl=False)


def _serve(settings: Settings, host: str, port: int) -> None:
    with _Server(settings, host, port) as server:
        where = f"http://{host}:{server.server_address[1]}/metrics"
        signal.signal(signal.SIGTERM, _end)
        click.echo(f"answering GET {where}", err=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


class _Server(HTTPServer):
    """Answers one reader after the other, from one client."""

    def __init__(self, settings: Settings, host: str, port: int) -> None:
        self._settings = settings
        self._client = settings.client()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ConfigurationError(
                f"cannot answer on {host}, port {port}: {error.strerror}: choose another one"
            ) from error

    def text(self) -> str:
        """The metrics of now. Raises what goes wrong with the database."""
        try:
            found = self._client.monitoring_metrics()
        except psycopg.OperationalError:  # the connection broke since the last reader
            found = self._client.monitoring_metrics()
        return openmetrics.render(found)

    def line(self, error: Exception) -> str:
        """What went wrong, without passwords."""
        return redactor([self._settings.dsn])(line_of(error, self._settings))

    def server_close(self) -> None:
        """Close the port and the connection."""
        super().server_close()
        self._client.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say in one line what a reader did that cannot be answered."""
        click.echo(f"pgtasker: no answer to {client_address}: {sys.exception()}", err=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE

    def do_GET(self) -> None:
        """200 with the metrics, 503 with the reason why there are none."""
        if self.path.partition("?")[0] != "/metrics":
            self._answer(404, "text/plain; charset=utf-8", "GET /metrics\n")
            return
        try:
            self._answer(200, openmetrics.CONTENT_TYPE, self.server.text())
        except (PgtaskerError, psycopg.Error) as error:
            self._answer(503, "text/plain; charset=utf-8", f"{self.server.line(error)}\n")

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: whoever reads metrics every few seconds is no news."""
