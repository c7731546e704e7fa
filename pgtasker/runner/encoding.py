"""Attempts whose context and results are stored encoded.

Responsible for handing a handler what they were, and for encoding what it returns. Where the
handler runs is left to another executor.
"""

from __future__ import annotations

import json
from dataclasses import replace

from pgtasker import payload
from pgtasker.codec import Codec, decoded, encoded
from pgtasker.rows import ClaimedStep
from pgtasker.runner.attempt import Attempt
from pgtasker.runner.executors import Executor
from pgtasker.runner.outcomes import Outcome, failed
from pgtasker.workflow import WorkflowStep


class EncodingExecutor:
    """Another executor, for runners that have a codec; the codec is called on the event loop,
    or in the thread of a handler that asked for the connection of its completion.
    """

    def __init__(self, executor: Executor, codec: Codec) -> None:
        self._executor = executor
        self._codec = codec

    @property
    def capacity(self) -> int | None:
        """That of the other."""
        return self._executor.capacity

    def check(self, step: WorkflowStep) -> None:
        """Raise WorkflowError if the other cannot execute this step."""
        self._executor.check(step)

    async def execute(self, attempt: Attempt) -> Outcome:
        """Execute the handler there; an attempt whose values cannot be read fails."""
        try:
            attempt.claim = self._readable(attempt.claim)
        except Exception as error:  # noqa: BLE001 - the codec is anybody's
            await attempt.begin()
            return failed(error)
        attempt.seal = self._sealed  # where the completion is committed before it comes back here
        return self._sealed(await self._executor.execute(attempt))

    async def close(self) -> None:
        """Close the other."""
        await self._executor.close()

    def _readable(self, claim: ClaimedStep) -> ClaimedStep:
        parents = claim.dependency_results.items()
        return replace(
            claim,
            context=decoded(self._codec, claim.context),
            dependency_results={name: decoded(self._codec, each) for name, each in parents},
        )

    def _sealed(self, outcome: Outcome) -> Outcome:
        try:
            return self._encoded(outcome)
        except Exception as error:  # noqa: BLE001 - as above
            return failed(error)

    def _encoded(self, outcome: Outcome) -> Outcome:
        if "results" not in outcome.members:
            return outcome
        results = encoded(self._codec, json.loads(outcome.members["results"]))
        text = payload.dump(results, "what the codec made of the result")
        return replace(outcome, members={**outcome.members, "results": text})
