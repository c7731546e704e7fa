"""Calls that define workflows and start tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg.sql import SQL

from pgtasker.rows import Json
from pgtasker.surface.calls import Call, as_json, column, function, value


def register_workflow(definition: Mapping[str, Json], *, replace: bool = True) -> Call[int]:
    """Store a workflow; answers the id of the named task."""
    document = as_json(dict(definition), "the definition")
    return function("register_workflow", value, definition=document, replace=replace)


def register_workflows(
    definitions: Sequence[Mapping[str, Json]], *, replace: bool = True
) -> Call[list[int]]:
    """Store definitions, all or none; answers the ids of their named tasks in the same order."""
    documents = [as_json(dict(definition), "the definition") for definition in definitions]
    return Call(
        # One after the other in the order of their names, whatever order others register them in.
        SQL("""
            select stored.named_task_id
            from (
                select
                    given.place,
                    {schema}.register_workflow(
                        definition => given.definition, replace => %(replace)s
                    ) as named_task_id
                from (
                    select document.definition, document.place
                    from unnest(%(definitions)s::jsonb[])
                        with ordinality as document (definition, place)
                    order by
                        coalesce(document.definition ->> 'namespace', 'default'),
                        document.definition ->> 'name',
                        document.place
                    offset 0
                ) as given
                offset 0
            ) as stored
            order by stored.place
        """),
        {"definitions": documents, "replace": replace},
        column,
    )


def create_task(
    name: str,
    context: Json = None,
    *,
    namespace: str | None = None,
    version: str | None = None,
    idempotency_key: str | None = None,
    priority: int | None = None,
    run_at: datetime | None = None,
    initiator: str | None = None,
    source_system: str | None = None,
    reason: str | None = None,
    tags: Sequence[str] | None = None,
    bypass_steps: Sequence[str] | None = None,
) -> Call[int]:
    """Start one task; answers its task_id."""
    return function(
        "create_task",
        value,
        name=name,
        context=None if context is None else as_json(context, "the context"),
        namespace=namespace,
        version=version,
        idempotency_key=idempotency_key,
        priority=priority,
        run_at=run_at,
        initiator=initiator,
        source_system=source_system,
        reason=reason,
        tags=None if tags is None else list(tags),
        bypass_steps=None if bypass_steps is None else list(bypass_steps),
    )


def create_tasks(
    name: str,
    contexts: Sequence[Json],
    *,
    namespace: str | None = None,
    version: str | None = None,
    idempotency_keys: Sequence[str | None] | None = None,
    priority: int | None = None,
    run_at: datetime | None = None,
    initiator: str | None = None,
    source_system: str | None = None,
    reason: str | None = None,
    tags: Sequence[str] | None = None,
) -> Call[list[int]]:
    """Start one task per context; answers their task_ids in the order of the contexts."""
    return function(
        "create_tasks",
        column,
        name=name,
        contexts=[as_json(context, "a context") for context in contexts],
        namespace=namespace,
        version=version,
        idempotency_keys=None if idempotency_keys is None else list(idempotency_keys),
        priority=priority,
        run_at=run_at,
        initiator=initiator,
        source_system=source_system,
        reason=reason,
        tags=None if tags is None else list(tags),
    )
