"""Two operations meet on one task, and the session of the first is killed before it commits.

The pairs and their shapes are those of tests/races, which lets the first commit or roll back. Here
the server process of the first ends while the second waits for it: the end must be the one that
the second has alone.
"""

from __future__ import annotations

import psycopg
from psycopg.conninfo import make_conninfo

from pgtasker import installer

from ..races.operations import OPERATIONS, Operation
from ..races.shapes import Arena
from ..races.test_pairs import finish, is_refused, outcome_of, serially
from ..support.databases import Database
from .place import Measured, Place

FEW = 20
PAIRS = [
    (shape, first, second)
    for shape, operations in OPERATIONS.items()
    for first in operations
    for second in operations
]


def met_and_killed(place: Place, times: int) -> Measured:
    """So many of all ordered pairs, chosen by the seed; few of them are of one shape."""
    arena = _arena(place)
    among = PAIRS if times > FEW else [pair for pair in PAIRS if pair[0] == "busy"]
    chosen = PAIRS if times >= len(PAIRS) else place.random.sample(among, times)
    chosen = sorted(chosen, key=lambda pair: pair[0])  # a shape is built once
    blocked = sum(_kill_first(arena, *pair) for pair in chosen)
    deadlocks = arena.main.one(
        "select deadlocks from pg_stat_database where datname = current_database()"
    )
    assert deadlocks == 0
    return Measured(
        f"{len(chosen):,} of {len(PAIRS):,} ordered pairs, in {blocked:,} the second waited: "
        "each ended as if the first had not been, deadlocks 0"
    )


def _arena(place: Place) -> Arena:
    with place.shared.admin() as conn:
        conn.execute("create database chaos_pairs template template0")
    dsn = make_conninfo(place.shared.dsn("chaos_pairs"))
    with psycopg.connect(dsn) as conn:
        installer.install(conn, "pgtasker", testing=True)
    return Arena(Database(dsn, "pgtasker"))


def _kill_first(arena: Arena, shape: str, first: Operation, second: Operation) -> bool:
    """One case; whether the second waited for the first."""
    prepared = arena.restore(shape)
    one, two = arena.one, arena.two
    one.begin()
    outcome_of(first, one, prepared)
    waiting = two.later(outcome_of, second, two, prepared).finished_or_blocked()
    blocked = not waiting.is_done()
    one.die()
    after = waiting.result()
    arena.one = arena.database.connect("one")
    if second.skips:
        arena.consistent_state()
        finish(arena, second, prepared)
    ended = arena.consistent_state()
    expected, refused = serially(arena, shape, second)
    about = f"{shape}: {first.name} killed, {second.name}"
    assert second.skips or (is_refused(after) and after) == refused, about
    assert ended == expected, about
    return blocked
