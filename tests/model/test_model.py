"""The engine does what the rules say, whatever is done to it in whatever order."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ..support.databases import Database, Databases
from ..support.servers import NEWEST
from .machine import EngineMachine

EXAMPLES = int(os.environ.get("PGTASKER_MODEL_EXAMPLES", "0"))
"""How many examples to try: with new random ones each time. Unset: a few, and always the same."""

PROFILE = settings(
    stateful_step_count=30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def test_the_engine_follows_the_rules(server: Databases, database: Database) -> None:
    """States, attempts, due times, claims, their order and refusals; consistent after each step."""
    examples = EXAMPLES or (100 if server.label == NEWEST else 30)

    class Machine(EngineMachine):
        """The machine on this database."""

    Machine.database = database
    run_state_machine_as_test(Machine, settings=settings(PROFILE, max_examples=examples))
