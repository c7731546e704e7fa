"""How a runner waits for work, and when one pass is over."""

from __future__ import annotations

from pgtasker.runner.coordination import SHORT_PAUSES, EventDriven, Rhythm


def test_a_full_answer_is_followed_at_once():
    """A runner that got all it asked for looks again as soon as it has room."""
    rhythm = Rhythm(EventDriven())
    rhythm.answered(10.0, asked=5, got=5)
    assert rhythm.seconds(10.0) == 0


def test_an_idle_runner_looks_again_after_short_growing_pauses():
    """Then it relies on being woken and on the poll."""
    rhythm = Rhythm(EventDriven())
    for pause in (*SHORT_PAUSES, 5.0, 5.0):
        rhythm.answered(10.0, asked=5, got=0)
        assert 0.8 * pause <= rhythm.seconds(10.0) <= pause + 1e-9


def test_a_wake_up_starts_the_short_pauses_anew():
    """Work that was announced may still be on its way."""
    rhythm = Rhythm(EventDriven())
    for _ in range(6):
        rhythm.answered(10.0, asked=5, got=0)
    rhythm.wake()
    assert rhythm.seconds(10.0) == 0
    rhythm.answered(10.0, asked=5, got=0)
    assert rhythm.seconds(10.0) <= SHORT_PAUSES[0] + 1e-9
