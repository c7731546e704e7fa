"""The SQL of queries: some rows of one of the views that say how tasks and steps stand.

Responsible for every statement that a query sends. What can be asked is left to `pgtasker.queries`,
which checks columns and values; a `Selection` is only what was asked.

A query that names no order gets rows as the view gives them: that is what keeps a limit cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from psycopg.sql import SQL, Composable, Identifier, Placeholder

from pgtasker.rows import Row
from pgtasker.surface.calls import Call, Rows, all_of, value

R = TypeVar("R", bound=Row)

Fragment = Callable[[Identifier], Composable]  # a part of a statement, given the schema

_COMPARISONS = {
    "=": SQL("{column} = {value}"),
    ">": SQL("{column} > {value}"),
    ">=": SQL("{column} >= {value}"),
    "in": SQL("{column} = any ({value})"),
    "is null": SQL("{column} is null"),
    "is not null": SQL("{column} is not null"),
    "lies ahead": SQL("{column} > (select {schema}.clock())"),
}
_RECENT = SQL(
    """v.task_id in (select r.task_id from {schema}.recent_task_execution_contexts as r)"""
)
_ACTIVE = SQL(
    """exists (
        select from {schema}.task_list as t where t.task_id = v.task_id and not t.complete
    )"""
)
_CREATED_WITHIN = SQL("""
    v.task_id in (
        select t.task_id
        from {schema}.task_list as t
        where t.created_at >= (select {schema}.clock() - make_interval(days => {value}))
    )
""")


@dataclass(frozen=True, slots=True)
class Condition:
    """A column compared with a value, which not every comparison needs."""

    column: str
    comparison: Literal["=", ">", ">=", "in", "is null", "is not null", "lies ahead"]
    value: object = None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these conditions holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class CreatedWithin:
    """The task was created within so many days."""

    days: int


@dataclass(frozen=True, slots=True)
class IfActive:
    """What follows from another condition, for tasks that are not over: it spares the search."""

    condition: Condition


Restriction = Condition | AnyOf | CreatedWithin | IfActive


@dataclass(frozen=True, slots=True)
class Question(Generic[R]):
    """A question, and the views that answer it: of all tasks, of active and of recent ones."""

    row: type[R]
    key: str
    every: str
    active: str
    recent: str | None = None


@dataclass(frozen=True, slots=True)
class Selection(Generic[R]):
    """What a query asks for."""

    question: Question[R]
    is_active: bool = False
    is_recent: bool = False
    restrictions: tuple[Restriction, ...] = ()
    order: str | None = None
    descending: bool = False
    after: int | None = None
    limit: int | None = None

    @property
    def is_of_active(self) -> bool:
        """Whether it gives tasks that are not over, and no others."""
        return self.is_active or self.question.every == self.question.active


Place = tuple[Any, int]  # of a row in the order: the value of its column of order, and its key


def select(selection: Selection[R]) -> Call[list[R]]:
    """The rows; in the order asked for, if any."""
    writer = _Writer(selection)
    is_ordered = selection.order is not None or selection.after is not None
    return writer.call(
        SQL("select v.* from {view} as v where {wanted} {order} {limit}"),
        all_of(selection.question.row),
        order=writer.order() if is_ordered else SQL(""),
        limit=writer.limit(),
    )


def select_places(selection: Selection[R], beyond: Place | None, most: int) -> Call[list[Place]]:
    """Where the next so many rows are, in the order asked for, else in that of their keys."""
    writer = _Writer(selection)
    if beyond is not None:
        writer.add(writer.beyond(beyond))
    return writer.call(
        SQL(
            "select {column} as value, {key} as key from {view} as v where {wanted} {order} {limit}"
        ),
        lambda rows: [(row["value"], row["key"]) for row in rows],
        column=writer.column(selection.order or selection.question.key),
        key=writer.column(selection.question.key),
        order=writer.order(),
        limit=writer.limit(most),
    )


def select_at(selection: Selection[R], places: Sequence[Place]) -> Call[list[R]]:
    """The rows at these places, in their order; what is no longer what was asked for is missing."""
    key = selection.question.key
    writer = _Writer(selection, by_key=True)
    numbers = {number: place for place, (_, number) in enumerate(places)}
    writer.add(writer.restriction(Condition(key, "in", list(numbers))))

    def read(rows: Rows) -> list[R]:
        ordered = sorted(rows, key=lambda row: numbers[row[key]])
        return all_of(selection.question.row)(ordered)

    return writer.call(SQL("select v.* from {view} as v where {wanted}"), read)


def count(selection: Selection[R]) -> Call[int]:
    """How many rows there are."""
    writer = _Writer(selection)
    if selection.limit is None:
        return writer.call(SQL("select count(*) from {view} as v where {wanted}"), value)
    return writer.call(
        SQL("select count(*) from (select 1 from {view} as v where {wanted} {limit}) as found"),
        value,
        limit=writer.limit(),
    )


def exists(selection: Selection[R]) -> Call[bool]:
    """Whether there is a row."""
    text = SQL("select exists (select 1 from {view} as v where {wanted})")
    return _Writer(selection).call(text, value)


T = TypeVar("T")
STEP = "workflow_step_id"


def _names_a_step(restriction: Restriction) -> bool:
    return (
        isinstance(restriction, Condition)
        and restriction.column == STEP
        and restriction.comparison in ("=", "in")
    )


class _Writer:
    """The parts of one statement, and the arguments that they name.

    The tiers of steps are found by their tasks. Steps that are named one by one (`by_key`, or by a
    condition) are therefore looked up among all, and whether they are of the tier is asked then.
    """

    def __init__(self, selection: Selection[Any], *, by_key: bool = False) -> None:
        self._selection = selection
        self._arguments: dict[str, object] = {}
        self._stated = [each for each in selection.restrictions if self._is_stated(each)]
        self._wanted = [self.restriction(each) for each in self._stated]
        question = selection.question
        one_by_one = question.key == STEP and (by_key or any(map(_names_a_step, self._stated)))
        self._view = question.every
        if selection.is_active:
            if one_by_one:
                self.add(lambda schema: _ACTIVE.format(schema=schema))
            else:
                self._view = question.active
        if selection.is_recent:
            if selection.is_active or one_by_one or question.recent is None:
                self.add(lambda schema: _RECENT.format(schema=schema))
            else:
                self._view = question.recent
        if selection.after is not None:
            self.add(self.beyond((selection.after, selection.after)))

    def call(self, text: SQL, read: Callable[[Rows], T], **parts: Composable) -> Call[T]:
        """The call, with these parts beside the view and the conditions."""
        wanted = list(self._wanted)

        def all_parts(schema: Identifier) -> Mapping[str, Composable]:
            conditions = [fragment(schema) for fragment in wanted] or [SQL("true")]
            view = SQL("{}.{}").format(schema, Identifier(self._view))
            return {**parts, "view": view, "wanted": SQL(" and ").join(conditions)}

        return Call(text, self._arguments, read, all_parts)

    def add(self, fragment: Fragment) -> None:
        """One more condition."""
        self._wanted.append(fragment)

    def column(self, name: str) -> Composable:
        """A column of the view."""
        return Identifier("v", name)

    def restriction(self, restriction: Restriction) -> Fragment:
        """A condition as SQL."""
        match restriction:
            case AnyOf():
                inner = [self.restriction(each) for each in restriction.conditions]
                return lambda schema: SQL("({})").format(
                    SQL(" or ").join([fragment(schema) for fragment in inner])
                )
            case CreatedWithin():
                days = self._argument(restriction.days)
                return lambda schema: _CREATED_WITHIN.format(schema=schema, value=days)
            case IfActive():
                return self.restriction(restriction.condition)
            case Condition():
                text = _COMPARISONS[restriction.comparison]
                column = self.column(restriction.column)
                given = SQL("") if restriction.value is None else self._argument(restriction.value)
                return lambda schema: text.format(schema=schema, column=column, value=given)

    def order(self) -> Composable:
        """By the column asked for, nulls last, and by the key; or by the key alone."""
        asked = self._selection
        key = self.column(asked.question.key)
        way = SQL("desc" if asked.descending else "asc")
        if asked.order in (None, asked.question.key):
            return SQL("order by {} {}").format(key, way)
        column = self.column(str(asked.order))
        return SQL("order by {} {} nulls last, {} {}").format(column, way, key, way)

    def beyond(self, place: Place) -> Fragment:
        """What comes after this place in the order."""
        asked = self._selection
        sign = SQL("<" if asked.descending else ">")
        key, number = self.column(asked.question.key), self._argument(place[1])
        if asked.order in (None, asked.question.key):
            return lambda _: SQL("{} {} {}").format(key, sign, number)
        column = self.column(str(asked.order))
        if place[0] is None:
            text = SQL("({column} is null and {key} {sign} {number})")
            return lambda _: text.format(column=column, key=key, sign=sign, number=number)
        text = SQL(
            "({column} {sign} {value} or {column} is null"
            " or {column} = {value} and {key} {sign} {number})"
        )
        given = self._argument(place[0])
        return lambda _: text.format(column=column, sign=sign, value=given, key=key, number=number)

    def limit(self, most: int | None = None) -> Composable:
        """No more rows than this, or than asked for."""
        number = self._selection.limit if most is None else most
        return SQL("") if number is None else SQL("limit {}").format(self._argument(number))

    def _is_stated(self, restriction: Restriction) -> bool:
        return self._selection.is_of_active or not isinstance(restriction, IfActive)

    def _argument(self, given: object) -> Placeholder:
        name = f"given_{len(self._arguments) + 1}"
        self._arguments[name] = given
        return Placeholder(name)
