"""What all queries have in common: they are immutable, and each word gives a narrower query.

Responsible for the words that every question understands (tiers, tasks, columns, order, limit) and
for refusing, before anything is sent, what no view could answer. The words of one question are in
the modules beside this one, sending is left to `fetching`, all SQL to `pgtasker.surface.selecting`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Generic, Self, TypeVar

from pgtasker.queries.columns import checked, columns_of, require_scalar, whole_number
from pgtasker.rows import Row
from pgtasker.surface.selecting import (
    AnyOf,
    Condition,
    CreatedWithin,
    IfActive,
    Question,
    Restriction,
    Selection,
    select,
)

R = TypeVar("R", bound=Row)

MOST_DAYS = 100_000


class _Query(Generic[R]):
    """Some rows that answer one question; nothing is asked before they are wanted."""

    _question: Question[R]

    def __init__(self, read: Any, schema: str, selection: Selection[R] | None = None) -> None:
        self._read = read
        self._schema = schema
        self._selection = selection or Selection(self._question)

    def __str__(self) -> str:
        """The SQL that `all` would send, its parameters in place."""
        return select(self._selection).shown(self._schema)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def active(self) -> Self:
        """Of tasks that are not over."""
        return self._with(is_active=True)

    def recent(self, days: int | None = None) -> Self:
        """Of tasks that were created within so many days, over or not.

        Without a number the setting `recent_days` counts. After `active`, both hold.
        """
        if days is None:
            return self._with(is_recent=True)
        return self._narrowed(CreatedWithin(whole_number("days", days, most=MOST_DAYS)))

    def for_task(self, task_id: int) -> Self:
        """Of this task."""
        return self.where(task_id=task_id)

    def for_tasks(self, task_ids: Iterable[int]) -> Self:
        """Of these tasks."""
        return self.where(task_id=list(task_ids))

    def where(self, **columns: object) -> Self:
        """Each column has this value, or one of these values where a collection is given.

        None is null. Raises ValueError for a column that there is not, and for a value of another
        type than the column's.
        """
        known = columns_of(self._question.row)
        wanted: list[Restriction] = []
        for name, value in columns.items():
            column = require_scalar(self._question.row, name)
            if isinstance(value, Collection) and not isinstance(value, str | bytes):
                values = [checked(column, each, known[name]) for each in value]
                wanted.append(_one_of(column, values))
            else:
                wanted.append(_is(column, checked(column, value, known[name])))
        return self._narrowed(*wanted)

    def order_by(self, column: str, *, descending: bool = False) -> Self:
        """In the order of a column, nulls last, and of ids where it is equal.

        Without an order rows come as the database finds them, and a limit costs least. Raises
        ValueError for a column that there is not.
        """
        name = require_scalar(self._question.row, column)
        return self._with(order=name, descending=descending)._in_one_order()

    def after(self, last_id: int) -> Self:
        """What comes after this id, in the order of ids: the next page after a row that was seen.

        The ids are those of the rows: of steps for questions about steps, else of tasks. Raises
        ValueError together with an order by another column.
        """
        return self._with(after=whole_number("an id", last_id, least=None))._in_one_order()

    def limit(self, number: int) -> Self:
        """No more than so many rows."""
        return self._with(limit=whole_number("limit", number))

    def _having(self, column: str, value: object, *, implies: Iterable[str] = ()) -> Self:
        """A column has a value; of tasks that are not over, only those in these states have."""
        states = list(implies)
        following = [IfActive(Condition("status", "in", states))] if states else []
        return self._narrowed(*following, _either(column, value))

    def _narrowed(self, *restrictions: Restriction) -> Self:
        return self._with(restrictions=(*self._selection.restrictions, *restrictions))

    def _with(self, **changes: Any) -> Self:
        return type(self)(self._read, self._schema, replace(self._selection, **changes))

    def _in_one_order(self) -> Self:
        asked = self._selection
        if asked.after is not None and asked.order not in (None, asked.question.key):
            raise ValueError(f"after() goes by {asked.question.key}, not by {asked.order}")
        return self


def _either(column: str, value: object) -> Condition:
    """A column has this value, or one of these."""
    return Condition(column, "in" if isinstance(value, list) else "=", value)


def _is(column: str, value: object) -> Condition:
    return Condition(column, "is null") if value is None else Condition(column, "=", value)


def _one_of(column: str, values: list[Any]) -> Condition | AnyOf:
    given = Condition(column, "in", [value for value in values if value is not None])
    return AnyOf((given, Condition(column, "is null"))) if None in values else given
