"""Attempts whose context and results are stored encoded.

Responsible for handing a handler what they were, and for encoding what it returns. Where the
handler runs is left to another executor.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

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
            attempt.claim = readable(self._codec, attempt.claim)
        except Exception as error:  # noqa: BLE001 - the codec is anybody's
            await attempt.begin()
            return failed(error)
        # Also where the completion is committed before its outcome comes back here.
        attempt.seal = partial(sealed, self._codec)
        return sealed(self._codec, await self._executor.execute(attempt))

    async def close(self) -> None:
        """Close the other."""
        await self._executor.close()


def readable(codec: Codec | None, claim: ClaimedStep) -> ClaimedStep:
    """The claim with its values as they were."""
    if codec is None:
        return claim
    parents = claim.dependency_results.items()
    return replace(
        claim,
        context=decoded(codec, claim.context),
        dependency_results={name: decoded(codec, each) for name, each in parents},
    )


def sealed(codec: Codec | None, outcome: Outcome) -> Outcome:
    """The outcome with results as they are stored; a failure if they cannot be encoded."""
    if codec is None or "results" not in outcome.members:
        return outcome
    try:
        results = encoded(codec, json.loads(outcome.members["results"]))
        text = payload.dump(results, "what the codec made of the result")
    except Exception as error:  # noqa: BLE001 - the codec is anybody's
        return failed(error)
    return replace(outcome, members={**outcome.members, "results": text})
