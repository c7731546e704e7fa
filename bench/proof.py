"""That what was measured was really done.

Responsible for counting the rows of the log after a run, for asking `check_consistency()`, and for
stopping the benchmark where either is not as it must be. Takes no part in what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench import engine

COUNT = """
    select
        (select count(*) from tasks where task_id > %(task)s and complete) as complete,
        (select count(*) from tasks where task_id > %(task)s and not complete) as incomplete,
        (select count(*) from task_transitions where task_id > %(task)s) as task_rows,
        count(*) as steps,
        count(*) filter (where log.transitions <> 2) as odd_steps,
        coalesce(sum(log.transitions), 0) as step_rows
    from (
        select count(*) as transitions
        from workflow_step_transitions
        where workflow_step_id > %(step)s
        group by workflow_step_id
    ) log
"""


class NotDoneError(Exception):
    """A run did less, or more, than it should have, or left something inconsistent behind."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a database stood before a run: its highest ids."""

    task: int
    step: int

    @classmethod
    def of(cls, conn: engine.Connection) -> Mark:
        task = engine.value(conn, "select coalesce(max(task_id), 0) from tasks")
        step = engine.value(conn, "select coalesce(max(workflow_step_id), 0) from workflow_steps")
        return cls(task, step)

    def require(self, conn: engine.Connection, *, tasks: int, steps: int) -> None:
        """So many tasks of so many steps each were started since, and every one is complete: two
        rows in the log for each task and each step."""
        found = conn.execute(COUNT, {"task": self.task, "step": self.step}).fetchone()
        assert found is not None
        expected = (tasks, 0, 2 * tasks, tasks * steps, 0, 2 * tasks * steps)
        if tuple(found) != expected:
            raise NotDoneError(f"the log has {tuple(found)}, not {expected}")


def require_consistency(conn: engine.Connection) -> None:
    """`check_consistency()` finds nothing. It reads everything, so the planner gets the sizes."""
    conn.execute("analyze")
    found = conn.execute("select * from check_consistency() limit 5").fetchall()
    if found:
        raise NotDoneError(f"check_consistency: {found}")
