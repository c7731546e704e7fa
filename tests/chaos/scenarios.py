"""The table of contents: each scenario with its fault, its target, and how often it is injected."""

from __future__ import annotations

from . import connections_fail, runners_fail, servers_fail, sessions_fail, soak
from .place import Scenario

SCENARIOS = [
    Scenario(
        "runner dies",
        "SIGKILL at random moments, under load",
        "takeover p95 within 2.5 s; nothing lost",
        runners_fail.killed,
        short=2,
        long=200,
    ),
    Scenario(
        "runner freezes",
        "SIGSTOP past its lease, then SIGCONT",
        "accepted stale writes 0",
        runners_fail.frozen,
        short=1,
        long=20,
    ),
    Scenario(
        "shutdown",
        "SIGTERM at random moments, under load",
        "every claim released or finished, no attempt used up, exit within the grace period",
        runners_fail.shut_down,
        short=3,
        long=200,
    ),
    Scenario(
        "database dies",
        "`pg_ctl stop -m immediate` and start, under load",
        "runners reconnect by themselves, throughput returns, acknowledged work survives",
        servers_fail.crashed,
        short=1,
        long=12,
    ),
    Scenario(
        "connections die",
        "`pg_terminate_backend` twice a second",
        "throughput stays above 90 %",
        connections_fail.terminated,
        short=4,
        long=120,
    ),
    Scenario(
        "answer is lost",
        "socket cut after the commit, before the answer",
        "the outcome counts once",
        connections_fail.answers_lost,
        short=6,
        long=150,
    ),
    Scenario(
        "pooler",
        "PgBouncer in transaction mode, restarted; one runner killed behind it",
        "everything works, takeover within a lease",
        connections_fail.pooled,
        short=1,
        long=5,
    ),
    Scenario(
        "failover",
        "primary crashes, streaming standby is promoted, multi-host DSN",
        "runners follow within seconds",
        servers_fail.failed_over,
        short=1,
        long=5,
    ),
    Scenario(
        "synchronous failover",
        "the same with a synchronous standby",
        "nothing acknowledged is lost",
        servers_fail.failed_over_synchronously,
        short=1,
        long=5,
    ),
    Scenario(
        "max_connections",
        "every connection of the server is taken by others",
        "clear error, recovers",
        connections_fail.crowded_out,
        short=1,
        long=10,
    ),
    Scenario(
        "disk full",
        "no room left in the data directory",
        "clear error, recovers",
        servers_fail.disk_full,
        short=1,
        long=10,
    ),
    Scenario(
        "session settings",
        "timeouts and isolation levels that make statements fail",
        "clear error, recovers",
        sessions_fail.tuned_against,
        short=2,
        long=5,
    ),
    Scenario(
        "soak",
        "mixed load with all faults, and operators in between",
        "every promise kept; tables and memory stay bounded",
        soak.soaked,
        short=4,
        long=1800,
    ),
]
