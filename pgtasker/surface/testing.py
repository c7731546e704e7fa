"""Calls that only tests make, through `pgtasker.testing`: the clock, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg.sql import SQL

from pgtasker.surface.calls import Call, function, nothing, value


def clock() -> Call[datetime]:
    """The time the engine goes by, in this session."""
    return function("clock", value)


def session_clock() -> Call[str]:
    """The time at which this session was made to stand; "" is real time."""
    return Call(SQL("select coalesce(current_setting('pgtasker.clock', true), '')"), {}, value)


def set_session_clock(moment: str) -> Call[None]:
    """Let this session stand at that time ("": real time); only an install for tests obeys."""
    text = SQL("select set_config('pgtasker.clock', %(moment)s, false)")
    return Call(text, {"moment": moment}, nothing)


def outlook(task_ids: Sequence[int]) -> Call[dict[int, datetime | None]]:
    """Those of the tasks that are not at rest, each with the time at which it goes on by itself."""
    return Call(
        SQL("""
            select
                t.task_id,
                min(greatest(s.due_at, t.run_at)) filter (
                    where not t.paused
                        and s.state in ('pending', 'error')
                        and greatest(s.due_at, t.run_at) > {schema}.clock()
                ) as due_at
            from {schema}.task_list as t
            cross join lateral {schema}.get_task_steps(task_id => t.task_id) as s
            where t.task_id = any (%(task_ids)s) and t.state in ('pending', 'in_progress')
            group by t.task_id
        """),
        {"task_ids": list(task_ids)},
        lambda rows: {row["task_id"]: row["due_at"] for row in rows},
    )
