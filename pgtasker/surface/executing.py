"""Calls of a runner: register, claim and report, stay alive, be woken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from pgtasker.rows import Advance, ClaimedStep, Json
from pgtasker.surface.calls import Call, Rows, as_json, column, function, nothing, value


def register_runner(name: str, queues: Sequence[str], metadata: Mapping[str, Json]) -> Call[int]:
    """Register a runner on the connection that stands for it; answers its runner_id."""
    document = as_json(dict(metadata), "the metadata")
    return function("register_runner", value, name=name, queues=list(queues), metadata=document)


def heartbeat(runner_id: int, held: Sequence[int] | None) -> Call[list[int]]:
    """Renew the lease; answers those of the held claim_ids that are no longer valid."""
    claims = None if held is None else list(held)
    return function("heartbeat", column, runner_id=runner_id, held=claims)


def deregister_runner(runner_id: int) -> Call[None]:
    """End a runner; what it still holds goes back without using up an attempt."""
    return function("deregister_runner", nothing, runner_id=runner_id)


def extend_step(
    workflow_step_id: int, claim_id: int, timeout: timedelta | None, progress: Json
) -> Call[None]:
    """Give a running attempt more time, or record its progress, or both."""
    return function(
        "extend_step",
        nothing,
        workflow_step_id=workflow_step_id,
        claim_id=claim_id,
        timeout=timeout,
        progress=None if progress is None else as_json(progress, "the progress"),
    )


def complete_step(workflow_step_id: int, claim_id: int, results: str) -> Call[None]:
    """Complete a claimed step with results, as JSON text."""
    return function(
        "complete_step",
        nothing,
        workflow_step_id=workflow_step_id,
        claim_id=claim_id,
        results=Jsonb(results, dumps=str),
    )


def advance(runner_id: int, outcomes: Sequence[str], max_steps: int) -> Call[Advance]:
    """Report outcomes, each as JSON text, and claim up to max_steps steps."""
    document = Jsonb(outcomes, dumps=lambda texts: "[" + ",".join(texts) + "]")
    return function(
        "advance_json",
        _read_advance,
        "lost, claimed::text",
        runner_id=runner_id,
        outcomes=document,
        max_steps=max_steps,
    )


def _read_advance(rows: Rows) -> Advance:
    [row] = rows
    lost, text = row["lost"], row["claimed"]
    return Advance(lost=lost, claimed=ClaimedStep.read_all(text), text_length=len(text))


def maintain() -> Call[float]:
    """Do what is due; answers in how many seconds to call again."""
    return Call(
        SQL("""
            select extract(epoch from m.next_at - {schema}.clock())::double precision
            from {schema}.maintain() as m(next_at)
        """),
        {},
        value,
    )


def wake_up_channel(runner_id: int) -> Call[str]:
    """The name of the channel on which a runner is woken."""
    return function("wake_up_channel", value, runner_id=runner_id)


def listen(channel: str) -> Call[None]:
    """Receive the notifications of a channel on this connection."""
    return Call(SQL("listen {channel}"), {}, nothing, {"channel": Identifier(channel)})


def queue_outlook(queues: Sequence[str]) -> Call[tuple[int, float | None]]:
    """How many steps are ready in queues that are not paused, and in how many seconds more are."""
    return Call(
        SQL("""
            select
                coalesce(sum(q.depth), 0)::bigint as ready,
                extract(epoch from min(q.next_due_at) - {schema}.clock())::double precision
                    as due_in
            from {schema}.list_queues() as q
            where q.queue = any (%(queues)s) and not q.paused
        """),
        {"queues": list(queues)},
        lambda rows: (rows[0]["ready"], rows[0]["due_in"]),
    )
