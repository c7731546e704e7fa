"""What ended and is not yet in the database.

Responsible for keeping each outcome until an `advance` has taken it, and for finding the one that
the database cannot store when it refuses a batch: then they go one by one, and the guilty one is
replaced by a failure that says so. Sending is left to the runner.
"""

from __future__ import annotations

from pgtasker.rows import ClaimedStep
from pgtasker.runner.outcomes import Outcome, refused, released

REFUSED_DELAY = 10.0  # seconds until a step is tried again of which not even the failure is taken


class Reports:
    """Outcomes by claim, in the order in which the attempts ended."""

    def __init__(self) -> None:
        self._outcomes: dict[int, tuple[ClaimedStep, Outcome]] = {}
        self._replaced: set[int] = set()
        self.one_by_one = False

    def __len__(self) -> int:
        return len(self._outcomes)

    @property
    def claims(self) -> list[int]:
        """The claims whose outcome is still to be reported."""
        return list(self._outcomes)

    def add(self, claim: ClaimedStep, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._outcomes[claim.claim_id] = (claim, outcome)

    def batch(self) -> dict[int, str]:
        """What to send next: the text of each report by its claim."""
        batch = {}
        for claim_id, (claim, outcome) in self._outcomes.items():
            batch[claim_id] = outcome.report(claim)
            if self.one_by_one:
                break
        return batch

    def taken(self, batch: dict[int, str]) -> None:
        """The database has them; whatever was added since stays."""
        for claim_id in batch:
            del self._outcomes[claim_id]
        self._replaced -= batch.keys()
        self.one_by_one = self.one_by_one and bool(self._outcomes)

    def refused(self, batch: dict[int, str], error: BaseException) -> None:
        """The database cannot store one of them: narrow down which, then report that instead."""
        if len(batch) > 1:
            self.one_by_one = True
            return
        for claim_id in batch:
            claim, _ = self._outcomes[claim_id]
            if claim_id in self._replaced:
                self.add(claim, released(REFUSED_DELAY))
            else:
                self._replaced.add(claim_id)
                self.add(claim, refused(error))
