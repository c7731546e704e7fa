"""The queries of the synchronous client: what is sent, when, and in how many pieces.

Responsible for fetching. Iteration reads ids first, up to 100,000 in one statement, and then the
rows, 500 in one statement, so that memory is bounded whatever a query matches, and each call is one
that ends: between two of them no transaction, no cursor and no snapshot stays open. So it works
inside the caller's transaction, where the caller may commit meanwhile, with a pool of one
connection, which serves other calls meanwhile, and through a pooler that hands each statement to
another session; and a long look holds back no vacuum. A row is as it is when it is read; what is no
longer what was asked for by then is left out. A server-side cursor would have given one snapshot,
and would have kept a transaction open for it.

Generated from async_fetching.py: change that file, then run tools/generate_sync_client.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from pgtasker import surface
from pgtasker.queries.execution_contexts import _ExecutionContextWords
from pgtasker.queries.query import _Query
from pgtasker.queries.step_readiness import _StepReadinessWords
from pgtasker.queries.workflow_summaries import _WorkflowSummaryWords
from pgtasker.rows import Row, StepReadinessStatus, TaskExecutionContext, TaskWorkflowSummary
from pgtasker.surface import selecting

R = TypeVar("R", bound=Row)
T = TypeVar("T")

PLACES = 100_000  # ids in one piece
ROWS = 500  # rows in one piece


class Read(Protocol):
    """Sends a call and reads its answer."""

    def __call__(self, call: surface.Call[T]) -> T: ...


class _Fetching(_Query[R]):
    """A query that can be sent."""

    _read: Read

    def all(self) -> list[R]:
        """Every row, in one statement."""
        return self._read(selecting.select(self._selection))

    def first(self) -> R | None:
        """The first row in the order asked for, else any one; None if there is none."""
        found = self.limit(1).all()
        return found[0] if found else None

    def count(self) -> int:
        """How many rows there are."""
        return self._read(selecting.count(self._selection))

    def exists(self) -> bool:
        """Whether there is a row."""
        return self._read(selecting.exists(self._selection))

    def __iter__(self) -> Iterator[R]:
        """Every row, in pieces: in the order asked for, else in that of their ids.

        With a limit of up to 500 and no order, as `all` gives them.
        """
        selection = self._selection
        if selection.limit is not None and selection.limit <= ROWS:
            for row in self.all():
                yield row
            return
        beyond, left = None, selection.limit
        while left is None or left > 0:
            most = PLACES if left is None else min(PLACES, left)
            places = self._read(selecting.select_places(selection, beyond, most))
            for start in range(0, len(places), ROWS):
                piece = places[start : start + ROWS]
                for row in self._read(selecting.select_at(selection, piece)):
                    yield row
            if len(places) < most:
                return
            beyond, left = places[-1], None if left is None else left - len(places)


class StepReadinessQuery(_StepReadinessWords, _Fetching[StepReadinessStatus]):
    """Could steps run now, and if not, what is missing?"""


class ExecutionContextQuery(_ExecutionContextWords, _Fetching[TaskExecutionContext]):
    """How do tasks stand as a whole, and what do they wait for?"""


class WorkflowSummaryQuery(_WorkflowSummaryWords, _Fetching[TaskWorkflowSummary]):
    """What could be done in unfinished tasks, and what holds the rest back?"""
