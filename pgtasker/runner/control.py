"""The control connection: it stands for the runner.

Responsible for registering the workflows and the runner, for renewing its lease, for calling
`maintain` when that is due, and for being woken. A new connection says it all again. Once the
runner was registered, trouble with the database never ends it, but a schema that it does not
understand does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time

from pgtasker import redaction, surface
from pgtasker.codec import registrable
from pgtasker.errors import ConfigurationError, RunnerExpired, one_line
from pgtasker.rows import Json
from pgtasker.runner.link import (
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    Trouble,
    is_transient,
    needs_a_person,
)
from pgtasker.runner.shared import Shared
from pgtasker.schema_files import SCHEMA_VERSION, is_newer, understands
from pgtasker.service import logs

LOCK_PATIENCE = 1.0  # seconds that a heartbeat waits for an advance before it asks for less
LONGEST_WAIT = 1.0  # seconds between two looks of the control loop at what the work loop found


class Control:
    """The loop that owns the control connection of a runner."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._options = shared.options
        self._link = shared.control
        self._to_register = shared.options.to_register
        self._seen = ""  # the version that the schema had at the last look
        self._enlisted = False  # once it was, nothing but `stop` ends the runner

    async def attend(self) -> None:
        """Be the runner, for ever; raises what nobody but a person can put right."""
        while True:
            try:
                await self._keep_alive(await self._enlist())
            except RunnerExpired:
                self._shared.expired()
                await asyncio.sleep(SHORTEST_PAUSE)
            except Trouble as error:
                if not self._enlisted:
                    if needs_a_person(error):
                        raise ConfigurationError(_cannot_connect(error)) from error
                    if not is_transient(error):
                        raise
                await self._link.recover(error)

    async def _enlist(self) -> int:
        """Register, or on a new connection take up again what stands for the runner."""
        shared, execute = self._shared, self._link.execute
        await self._check()
        logs.hide((await execute(surface.get_setting(redaction.SETTING)) or "").split(","))
        while self._to_register:
            document = registrable(self._options.codec, self._to_register[0].definition())
            await execute(surface.register_workflow(document, replace=self._options.replace))
            self._to_register = self._to_register[1:]
        runner_id = shared.runner_id
        if runner_id is None:
            runner_id = await execute(
                surface.register_runner(self._options.name, self._options.queues, self._metadata())
            )
        shared.lease = await execute(surface.setting_seconds("lease"))
        # After a restart of the server, the first runner to come back starts the lease in which
        # the others have to.
        longest_pause = min(LONGEST_PAUSE, shared.lease / 3)
        shared.control.longest_pause = shared.work.longest_pause = longest_pause
        shared.rhythm.poll_interval = await execute(surface.setting_seconds("poll_interval"))
        await self._beat(runner_id)
        if self._options.coordination.listens:
            channel = await execute(surface.wake_up_channel(runner_id))
            await execute(surface.listen(channel))
        if shared.runner_id is None:
            shared.log.info(
                "runner registered", runner_id=runner_id, queues=list(self._options.queues)
            )
        shared.runner_id = runner_id
        if not self._enlisted:
            shared.executions.worked_at = time.monotonic()
        self._enlisted = True
        shared.rhythm.wake()
        shared.tell()
        return runner_id

    async def _keep_alive(self, runner_id: int) -> None:
        shared, now = self._shared, asyncio.get_running_loop().time
        next_beat = now() + shared.lease / 3
        next_upkeep = now()
        while shared.runner_id == runner_id:
            if now() >= next_beat:
                next_beat = now() + shared.lease / 3
                await self._check()
                await self._beat(runner_id)
            if now() >= next_upkeep:
                seconds = await self._link.execute(surface.maintain())
                next_upkeep = now() + min(max(seconds, 0.02), shared.rhythm.poll_interval)
                if self._options.coordination.listens:
                    shared.rhythm.look()
                    shared.tell()
            wait = min(next_beat, next_upkeep, now() + LONGEST_WAIT) - now()
            if await self._link.notified(wait):
                shared.rhythm.wake()
                shared.tell()

    async def _beat(self, runner_id: int) -> None:
        """Renew the lease, and compare what is held if no advance changes that meanwhile."""
        shared = self._shared
        try:
            async with asyncio.timeout(LOCK_PATIENCE):
                await shared.advancing.acquire()
        except TimeoutError:
            await self._link.execute(surface.heartbeat(runner_id, None))
            shared.beat_at = time.monotonic()
            return
        try:
            held = [*shared.executions.claims, *shared.reports.claims]
            lost = await self._link.execute(surface.heartbeat(runner_id, held))
        finally:
            shared.advancing.release()
        shared.beat_at = time.monotonic()
        for claim_id in lost:
            shared.executions.settle(claim_id, None)

    async def _check(self) -> None:
        """Raise ConfigurationError if the schema is too new, and say if it is another."""
        execute, since = self._link.execute, ""
        version = await execute(surface.get_setting("schema_version")) or ""
        if is_newer(version):
            since = await execute(surface.get_setting("schema_compatible_since")) or ""
        require_understood(version, since, self._options.schema)
        if version not in (SCHEMA_VERSION, self._seen):
            newer = is_newer(version)
            self._shared.log.warning(
                f"schema is {'newer' if newer else 'older'} than this package",
                schema_version=version,
                package_has=SCHEMA_VERSION,
                advice="pip install --upgrade pgtasker" if newer else "pgtasker upgrade",
            )
        self._seen = version

    def _metadata(self) -> dict[str, Json]:
        from pgtasker import __version__  # the table of contents imports this module

        about = {"hostname": socket.gethostname(), "pid": os.getpid(), "pgtasker": __version__}
        # Whoever makes steps ready wakes a runner that hears it.
        return about if self._options.coordination.listens else {**about, "listens": False}


def require_understood(version: str, compatible_since: str, schema: str) -> None:
    """Raise ConfigurationError if the schema is newer than what this package can work on."""
    if not understands(version, compatible_since):
        raise ConfigurationError(
            f'schema "{schema}" is version {version}, this pgtasker understands up '
            f"to {SCHEMA_VERSION}: upgrade the package"
        )


def _cannot_connect(error: BaseException) -> str:
    said = " ".join(one_line(error).split())
    reason = said.rpartition("FATAL: ")[2]
    return f"cannot connect: {reason}: put the DSN right, or what the server allows"
