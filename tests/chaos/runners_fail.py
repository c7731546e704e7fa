"""Runners die, freeze and are shut down under load."""

from __future__ import annotations

import signal
import time

from .fleet import Load
from .place import Measured, Place, percentile, witness

LEASE = 2.0  # seconds, where the lease is what is waited for
GRACE = 1.0
MANY = 10  # faults, from which on there are three runners


def killed(place: Place, times: int) -> Measured:
    """kill -9 at random moments: its steps run elsewhere soon."""
    server = place.shared
    dsn = server.dsn(server.database())
    killed_at: dict[str, float] = {}
    with place.fleet(dsn, "--concurrency", "8") as fleet, witness(dsn) as seen:
        fleet.start(2 if times < MANY else 3)
        fleet.ready()
        with Load(dsn, place.seed, pause=0.03, seconds=0.1) as load:
            for _ in range(times):
                time.sleep(place.random.uniform(0.1, 0.5))
                victim = place.random.choice(fleet.living)
                killed_at[victim.name] = fleet.kill(victim)
                fleet.start()
                fleet.ready()
            started = load.stop()
        seen.settle(started, gone=fleet.gone)
        took = [at - killed_at[name] for name, at in seen.takeovers()]
        assert took, "no runner held a step when it was killed"
        p50, p95 = percentile(took, 0.5), percentile(took, 0.95)
        return Measured(
            f"{times} kills, {len(started):,} tasks, {len(took)} steps taken over: "
            f"p50 {p50:.2f} s, p95 {p95:.2f} s, most {max(took):.2f} s; nothing lost",
            p95 <= 2.5,
        )


def frozen(place: Place, times: int) -> Measured:
    """SIGSTOP past the lease, then SIGCONT: what it reports then is refused."""
    server = place.shared
    dsn = server.dsn(server.database(lease=f"{LEASE} s"))
    with place.fleet(dsn, "--concurrency", "8") as fleet, witness(dsn) as seen:
        fleet.start(2)
        fleet.ready()
        with Load(dsn, place.seed, pause=0.03, seconds=0.15) as load:
            for number in range(times):
                sleeper = fleet.living[number % 2]
                fleet.gone.add(sleeper.name)
                registered = sleeper.said.count("runner registered")
                seen.wait_until_it_holds(sleeper.name)
                sleeper.signal(signal.SIGSTOP)
                seen.wait_until_given_up(sleeper.name)
                sleeper.signal(signal.SIGCONT)
                sleeper.says("runner registered", registered + 1)
            started = load.stop()
        seen.settle(started, gone=fleet.gone)
        stale = seen.stale_writes()
        assert stale == 0
        lost = fleet.said().count("claim lost") + fleet.said().count("runner expired")
        assert lost >= times, "no late report was sent"
        return Measured(
            f"{times} freezes of {LEASE:g} s and more, {len(started):,} tasks: "
            f"accepted stale writes {stale}"
        )


def shut_down(place: Place, times: int) -> Measured:
    """SIGTERM at random moments: what it holds is finished or goes back, and no attempt is lost."""
    server = place.shared
    dsn = server.dsn(server.database())
    took = []
    with place.fleet(dsn, "--concurrency", "8", "--grace", f"{GRACE}") as fleet:
        fleet.start(2 if times < MANY else 3)
        fleet.ready()
        with witness(dsn) as seen, Load(dsn, place.seed, pause=0.03, seconds=0.12) as load:
            for number in range(times):
                time.sleep(place.random.uniform(0.05, 0.4))
                victim = place.random.choice(fleet.living)
                fleet.living.remove(victim)
                at = time.monotonic()
                victim.signal(signal.SIGTERM)
                assert victim.process.wait(GRACE + 20) == 0, victim.said
                took.append(time.monotonic() - at)
                if number + 1 < times:
                    fleet.start()
                    fleet.ready()
            started = load.stop()
            seen.settle(started)  # nobody is gone: an attempt that was lost would be found
            ends = {row.state for row in seen.rows("select state from list_runners()")}
            assert ends <= {"live", "deregistered"}
            released = seen.one(
                "select count(*) from workflow_step_transitions"
                " where from_state = 'in_progress' and to_state = 'pending'"
            )
            return Measured(
                f"{times} shutdowns, {len(started):,} tasks: {released} steps released, "
                f"attempts used up 0, exit after p95 {percentile(took, 0.95):.2f} s, "
                f"most {max(took):.2f} s of {GRACE:g} s grace",
                max(took) <= GRACE,
            )
