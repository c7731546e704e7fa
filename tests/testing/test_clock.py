"""Installs whose clock can be moved, and moving it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.rows import dict_row

from pgtasker import Client, ConfigurationError, installer, surface
from pgtasker.testing import (
    Clock,
    ConfigurableFailureHandler,
    diamond,
    install,
    linear,
    run_task,
    run_workflow,
)

pytestmark = pytest.mark.newest_only


def test_time_passes_when_it_is_told_to(client: Client):
    """What was to begin later is due, and a run begins at that time."""
    clock = Clock(client)
    client.register(diamond())
    began = clock.now()
    task_id = client.start(diamond(), run_at=began + timedelta(hours=1))
    clock.move(days=1, hours=2, minutes=3, seconds=4.5)
    assert clock.now() - began >= timedelta(days=1, hours=2, minutes=3, seconds=4.5)
    stood = clock.now()
    assert run_task(client, task_id, diamond()).started_at == stood == clock.now()


def test_it_can_be_any_time_and_real_time_again(client: Client):
    """A time without a time zone would be anybody's guess."""
    clock = Clock(client)
    moment = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    clock.set(moment)
    assert clock.now() == moment
    clock.reset()
    assert abs(datetime.now(UTC) - clock.now()) < timedelta(seconds=30)
    with pytest.raises(ValueError, match="without a time zone"):
        clock.set(datetime(2031, 2, 3))


def test_an_install_of_an_application_is_made_one_for_tests(empty_dsn: str):
    """Until then tasks run as long as nothing must be waited for; in a transaction of the
    caller's, which keeps its search_path."""
    unstable = linear(1, handler=ConfigurableFailureHandler(1))
    with psycopg.connect(empty_dsn, row_factory=dict_row) as connection:
        installer.install(connection, "our tasks")
        connection.commit()
        client = Client(connection, schema="our tasks")
        assert run_workflow(client, diamond()).complete
        connection.commit()
        for moved in (lambda: Clock(client).move(days=1), lambda: run_workflow(client, unstable)):
            with pytest.raises(ConfigurationError, match="clock of this install cannot be moved"):
                moved()
            assert Clock(client).now() - datetime.now(UTC) < timedelta(seconds=30)
        connection.rollback()
        before = connection.execute("show search_path").fetchone()
        install(connection, "our tasks")
        assert connection.execute("show search_path").fetchone() == before
        connection.commit()
        assert run_workflow(client, unstable).complete
        assert client.check_consistency() == []
        assert client.call(surface.get_setting("made_for_tests")) == "true"  # an upgrade keeps it


def test_an_empty_database_gets_an_install(empty_dsn: str):
    """Once; a second time changes nothing."""
    with psycopg.connect(empty_dsn) as connection:
        install(connection)
        install(connection)
        Clock(Client(connection)).move(days=1)
