"""`top`: figures, keys and layout by themselves, and the screen on a terminal of its own."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtasker import installer
from pgtasker.cli.top.frame import COLUMNS as LAYOUT
from pgtasker.cli.top.frame import Status, per_second, render, rows_of, span
from pgtasker.cli.top.picture import Picture, Reading, compare
from pgtasker.cli.top.view import COLUMNS, FIRST_SORT, SECTIONS, View, keys_in

PATIENCE = 30.0  # seconds; reached only by a test that fails
STATUS = Status("host=db dbname=shop", datetime(2030, 1, 1, 12, 0, tzinfo=UTC))


@dataclass(frozen=True)
class Sample:
    """A row of the view."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: str = "gauge"
    description: str = ""


def reading(at: float, *samples: tuple[str, float] | tuple[str, float, dict[str, str]]) -> Reading:
    """What the view said; each sample is a name without its prefix, a value, and labels."""
    rows = [Sample(f"pgtasker_{each[0]}", each[1], *each[2:]) for each in samples]
    return Reading.of(rows, at)


CHARGE = {"namespace": "shop", "workflow": "fulfil", "step": "charge"}
FULFIL = {"namespace": "shop", "workflow": "fulfil"}


def busy(at: float, done: float, failed: float, lag: float = 0) -> Reading:
    """An install that is at work."""
    return reading(
        at,
        ("attempts_total", done, {**CHARGE, "outcome": "complete"}),
        ("attempts_total", failed, {**CHARGE, "outcome": "error"}),
        ("run_seconds_total", 2 * (done + failed), CHARGE),
        ("wait_seconds_total", 0.5 * (done + failed), CHARGE),
        ("tasks_created_total", 3 * done, FULFIL),
        ("tasks_finished_total", done, {**FULFIL, "state": "complete"}),
        ("tasks_finished_total", done, {**FULFIL, "state": "cancelled"}),
        ("tasks", 7, {"state": "error"}),
        ("runners", 1, {"state": "live"}),
        ("runners", 2, {"state": "waiting"}),
        ("queue_depth", 4, {"queue": "payments"}),
        ("queue_oldest_age_seconds", 75, {"queue": "payments"}),
        ("queue_runners", 0, {"queue": "payments"}),
        ("queue_depth", 0, {"queue": "default"}),
        ("queue_oldest_age_seconds", 0, {"queue": "default"}),
        ("queue_paused", 1, {"queue": "default"}),
        ("rollup_lag_seconds", lag),
    )


# Figures.


def test_rates_are_differences_of_counters_over_time() -> None:
    """Per second, for each workflow and step; means are over what ended meanwhile."""
    picture = compare([busy(100, 50, 10), busy(110, 70, 15)], window=10)
    assert picture.window == 10
    [step] = picture.steps
    assert (step.name, step.complete_rate, step.failure_rate) == ("charge  shop/fulfil", 2, 0.5)
    assert (step.failures, step.run_mean, step.wait_mean) == (15, 2, 0.5)
    [workflow] = picture.workflows
    assert (workflow.name, workflow.created_rate, workflow.finished_rate) == ("shop/fulfil", 6, 4)
    assert (picture.overview.complete_rate, picture.overview.created_rate) == (2, 6)
    assert (picture.overview.error_tasks, picture.overview.waiting_runners) == (7, 2)


def test_one_reading_has_no_rates() -> None:
    """They are unknown, not zero."""
    picture = compare([busy(100, 50, 10)], window=10)
    assert (picture.window, picture.overview.complete_rate) == (None, None)
    [step] = picture.steps
    assert (step.complete_rate, step.run_mean, step.failures) == (None, None, 10)


def test_time_is_that_of_the_counters() -> None:
    """They are counted every few seconds; without a count there is no rate, nor a peak."""
    readings = [busy(100, 50, 10, lag=1), busy(102, 50, 10, lag=3), busy(106, 70, 10, lag=2)]
    assert compare(readings[:2], window=2).window is None
    picture = compare(readings, window=2)
    assert (picture.window, picture.overview.complete_rate) == (5, 4)


def test_rates_are_over_the_window_that_is_asked_for() -> None:
    """Older readings do not count, unless no other is old enough."""
    readings = [busy(at, at, 0) for at in (0, 90, 95, 100)]
    assert compare(readings, window=10).window == 10
    assert compare(readings[2:], window=10).window == 5


def test_a_counter_that_lost_something_does_not_run_backwards() -> None:
    """What a purge took away is no negative work; what is new began at zero."""
    picture = compare([busy(0, 50, 10), busy(10, 20, 30)], window=10)
    assert (picture.overview.complete_rate, picture.overview.failure_rate) == (0, 2)
    appeared = compare([reading(0), busy(10, 20, 30)], window=10)
    assert appeared.overview.failure_rate == 3


def test_a_queue_has_an_age_only_while_something_is_ready() -> None:
    """Queues with their depth, age, runners and whether they are paused."""
    default, payments = compare([busy(0, 1, 1)], window=1).queues
    assert (default.queue, default.depth, default.oldest_age, default.paused) == (
        "default",
        0,
        None,
        True,
    )
    assert (payments.depth, payments.oldest_age, payments.runners) == (4, 75, 0)


# Keys.


def after(*keys: str, rows: int = 100) -> View:
    view = View()
    for key in keys:
        view = view.after(key, rows)
    return view


def test_keys_are_heard() -> None:
    """Characters, and what terminals send for other keys; also several at once."""
    typed = b"q\x1b[A\x1bOB\x1b[5~\t\x1b[Z\x1b\xc3\xa4\x7f\r"
    names = ["q", "up", "down", "page up", "tab", "back tab", "escape", "ä", "backspace", "enter"]
    assert keys_in(typed) == names


def test_keys_change_the_view() -> None:
    """Leave, pause, choose a section, sort it, scroll it, look more or less often."""
    for leave in ("q", "interrupt", "end of input"):
        assert after(leave).done
    assert after("p").paused
    assert not after("p", " ").paused
    assert after("tab", "tab").section == "steps"
    assert after("back tab").section == "steps"
    assert after("right").sorted_by("queues") == FIRST_SORT["queues"] + 1
    assert after("left", "left").sorted_by("queues") == COLUMNS["queues"] - 1
    assert after("down", "down", "up").offset == 1
    assert after("page down", rows=4).offset == 3
    assert after("up").offset == 0
    assert after("down", "tab").offset == 0
    assert after("+").interval > View().interval > after("-").interval
    assert after("x") == View()


def test_a_filter_is_typed() -> None:
    """Letters belong to it, also those that are keys; enter applies it, escape leaves it."""
    assert after("/", *"pq", "x", "backspace", "enter").filter == "pq"
    assert after("/", "a", "escape").filter == ""
    assert after("/", "a", "enter", "/", "b", "enter").filter == "ab"
    assert after("/", "a", "enter", "/", "erase", "b", "enter").filter == "b"
    assert after("/", "a", "enter", "escape").filter == ""
    assert after("/", "interrupt").done
    assert after("/", "up").typing == ""


def test_the_sections_have_the_columns_that_keys_go_through() -> None:
    """What is sorted by is a column that exists."""
    assert {section: len(columns) for section, columns in LAYOUT.items()} == COLUMNS


# Layout.


def texts(picture: Picture, view: View | None = None, *, width: int = 80, height: int = 24) -> Any:
    lines = render(picture, view or View(), STATUS, width=width, height=height)
    return [line.plain.rstrip() for line in lines]


def crowd(queues: int = 40) -> Picture:
    """Many queues, workflows and steps with long names, and large figures."""
    samples: list[Any] = [("rollup_lag_seconds", 0), ("tasks", 123_456, {"state": "in_progress"})]
    samples += [("tasks", 9_999, {"state": "error"}), ("steps_exhausted", 9_999)]
    for number in range(queues):
        name = f"queue_{number:02}_of_a_warehouse_far_away"
        samples += [
            ("queue_depth", 1000 * number, {"queue": name}),
            ("queue_oldest_age_seconds", 10.0**number, {"queue": name}),
        ]
    before, now = list(samples), list(samples)
    for number in range(30):
        labels = {"namespace": "finance", "workflow": f"report_{number:02}", "step": "send_" * 9}
        for outcome in ("complete", "error"):
            before.append(("attempts_total", 0, {**labels, "outcome": outcome}))
            now.append(("attempts_total", 10.0**5 * number, {**labels, "outcome": outcome}))
    return compare([reading(0, *before), reading(10, *now)], window=10)


def test_a_frame_shows_everything_at_80_by_24() -> None:
    """What is at work, the queues, the workflows and the steps, with what wants attention."""
    lines = texts(compare([busy(100, 50, 10), busy(110, 70, 15)], window=10))
    assert len(lines) == 24
    assert lines[0].startswith("pgtasker top  host=db dbname=shop")
    assert lines[1] == "tasks    0 pending  0 in progress  7 in error  0 failed steps"
    assert lines[2] == "rates    steps 2.0/s  failures 0.50/s  tasks 6.0/s in, 4.0/s out"
    assert lines[3].startswith("runners  3 live  2 idle  0 lost")
    assert lines[6].split() == [
        ">QUEUES",
        "▾ready",
        "oldest",
        "runners",
        "running",
        "later",
        "state",
    ]
    assert lines[7].split() == ["payments", "4", "75", "s", "-", "-", "-", "unserved"]
    assert lines[8].split() == ["default", "-", "-", "-", "-", "-", "paused"]
    assert lines[11].split()[:5] == ["shop/fulfil", "6.0/s", "4.0/s", "2.0/s", "0.50/s"]
    assert lines[14].split()[:5] == ["charge", "shop/fulfil", "2.0/s", "0.50/s", "15"]
    assert lines[23].startswith("q quit  p pause  / filter")


@given(
    st.integers(1, 200),
    st.integers(1, 60),
    st.sampled_from(SECTIONS),
    st.sampled_from([0, 1, 3, 40]),
    st.booleans(),
)
def test_a_frame_fits(width: int, height: int, section: str, queues: int, typing: bool) -> None:
    """Whatever there is to show, in exactly so many lines of at most so many columns."""
    view = View(section=section, offset=7, filter="e", typing="x" * 100 if typing else None)
    lines = render(crowd(queues), view, STATUS, width=width, height=height)
    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width


def test_a_low_window_has_rows_of_each_section() -> None:
    """As long as there is room, the chosen one has at least as many as both others."""
    for height in range(17, 40):
        lines = texts(crowd(), View(section="workflows"), height=height)
        rows = [sum(line.startswith(f" {name}_") for line in lines) for name in ("queue", "send")]
        chosen = sum(line.startswith(" finance/") for line in lines)
        assert rows[0] == rows[1] > 0
        assert chosen >= sum(rows)


def test_a_name_is_only_a_name() -> None:
    """What a terminal would obey is not sent to it."""
    picture = compare([reading(0, ("queue_depth", 1, {"queue": "a\x1b[2J\x07\nb"}))], window=1)
    assert " a?[2J??b" in "\n".join(texts(picture))


def test_the_chosen_section_has_most_of_the_screen() -> None:
    """The others keep a few rows; in a low window they are left out."""
    lines = texts(crowd(), View(section="steps"))
    shown = [line for line in lines if line.startswith(" send_")]
    assert len(shown) > 3
    assert sum(line.startswith(" queue_") for line in lines) == 3
    low = "\n".join(texts(crowd(), View(section="steps"), height=12))
    assert "STEPS" in low
    assert "QUEUES" not in low


def test_scrolling_shows_what_is_below() -> None:
    """Up to the last row, and it is said which rows these are."""
    lines = texts(crowd(), View(offset=10))
    assert ">QUEUES 11-" in lines[6]
    assert "of 40" in lines[6]
    end = texts(crowd(), View(offset=39))
    assert any(line.startswith(" queue_00_") for line in end)
    assert "-40 of 40" in end[6]


def test_rows_are_sorted_and_filtered() -> None:
    """The largest first, or by name; a filter looks at names in any case."""
    picture = crowd()
    depths = [row.depth for row in rows_of(picture, View(), "queues")]
    assert depths == sorted(depths, reverse=True)
    by_name = View(sort=(*View().sort[1:], ("queues", 0)))
    names = [row.queue for row in rows_of(picture, by_name, "queues")]
    assert names == sorted(names)
    found = rows_of(picture, View(filter="QUEUE_07"), "queues")
    assert [row.depth for row in found] == [7000]
    assert rows_of(picture, View(filter="QUEUE_07"), "steps") == []
    assert len(rows_of(picture, View(filter="report_07"), "steps")) == 1


@given(st.lists(st.sampled_from([*"qpx/ +-", "tab", "up", "down", "left", "right", "page down",
                                 "escape", "enter", "home", "backspace"])))  # fmt: skip
def test_no_key_leads_to_a_frame_that_does_not_fit(keys: list[str]) -> None:
    """Whatever is pressed, one frame after the other."""
    picture, view = crowd(12), View()
    for key in keys:
        view = view.after(key, len(rows_of(picture, view, view.section)))
        assert len(texts(picture, view)) == 24


def test_trouble_is_shown_above_what_was_known() -> None:
    """An error, and that the screen is paused."""
    status = replace(STATUS, error="the connection is lost")
    lines = render(crowd(), View(paused=True), status, width=80, height=24)
    assert "PAUSED" in lines[0].plain
    assert lines[5].plain == "the connection is lost"
    assert "queue_39" in lines[7].plain


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "-"),
        (0.0004, "0 ms"),
        (0.9994, "999 ms"),
        (1.26, "1.3 s"),
        (75, "75 s"),
        (600, "10 min"),
        (7200, "2 h"),
        (864_000, "10 d"),
    ],
)
def test_spans_are_short(value: float | None, words: str) -> None:
    """A few characters, whatever the time."""
    assert span(value) == words


def test_rates_are_short() -> None:
    """As precise as they are small; unknown is not zero."""
    rates = [per_second(each) for each in (None, 0, 0.123, 1.26, 120.4, 12345.6)]
    assert rates == ["-/s", "0/s", "0.12/s", "1.3/s", "120/s", "12,346/s"]


# The screen.


class Screen:
    """A program on a terminal of 80 by 24."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._controller, self._terminal = os.openpty()
        size = struct.pack("HHHH", 24, 80, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        self.modes = termios.tcgetattr(self._terminal)
        known = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            env={**known, "TERM": "xterm-256color", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.printed = b""

    def until(self, *words: str) -> str:
        """Read until all these words were printed since the last call; what was printed."""
        deadline = time.monotonic() + PATIENCE
        read = b""
        while not all(word.encode() in read for word in words):
            ready, _, _ = select.select([self._controller], [], [], deadline - time.monotonic())
            assert ready, f"{words} did not come:\n{self.printed.decode(errors='replace')}"
            piece = os.read(self._controller, 65536)
            read += piece
            self.printed += piece
        return read.decode(errors="replace")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._controller, keys.encode())

    def resize(self, lines: int, columns: int) -> None:
        """Change the size of the window."""
        fcntl.ioctl(self._controller, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def end(self) -> int:
        """Wait for its end: the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            ready, _, _ = select.select([self._controller], [], [], 0.05)
            if ready:
                self.printed += os.read(self._controller, 65536)
        return self.process.wait(0)

    @property
    def is_given_back(self) -> bool:
        """Whether the terminal is as it was: its modes, its screen, its cursor."""
        left = self.printed.rfind(b"\x1b[?1049l") > self.printed.rfind(b"\x1b[?1049h")
        cursor = self.printed.rfind(b"\x1b[?25h") > self.printed.rfind(b"\x1b[?25l")
        return left and cursor and termios.tcgetattr(self._terminal) == self.modes

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        os.close(self._controller)
        os.close(self._terminal)


def top(dsn: str, **environment: str) -> Screen:
    """`pgtasker top` of a database, drawn once."""
    arguments = ("-m", "pgtasker", "--dsn", dsn, "top", "--interval", "0.1")
    screen = Screen(*arguments, **environment)
    screen.until("\x1b[?1049h", "q quit")
    return screen


@pytest.fixture
def dsn(empty_dsn: str) -> str:
    """A database with an install and a task that waits."""
    with psycopg.connect(empty_dsn) as conn:
        installer.install(conn, "pgtasker")
        conn.execute("set search_path = pgtasker")
        conn.execute('select register_workflow(\'{"name": "flow", "steps": [{"name": "a"}]}\')')
        conn.execute("select create_task('flow')")
    return empty_dsn


@pytest.fixture
def screen(dsn: str) -> Iterator[Screen]:
    """The screen, drawn once."""
    screen = top(dsn)
    yield screen
    screen.close()


@pytest.mark.newest_only
@pytest.mark.parametrize("leave", ["q", "\x03", signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back(screen: Screen, leave: str | signal.Signals) -> None:
    """By a key, Ctrl-C or a signal: exit status 0, and the terminal as it was."""
    assert not screen.is_given_back
    if isinstance(leave, str):
        screen.press(leave)
    else:
        screen.process.send_signal(leave)
    assert screen.end() == 0
    assert screen.is_given_back


@pytest.mark.newest_only
def test_the_terminal_is_given_back_after_a_mistake_of_ours(dsn: str) -> None:
    """The traceback stands on the terminal as it was; exit status 1."""
    code = (
        "import sys\nfrom pgtasker.cli.top import screen\n"
        "def broken(*_, **__): raise RuntimeError('a mistake')\n"
        "screen.render = broken\n"
        "from pgtasker.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    screen = Screen("-c", code, "--dsn", dsn, "top")
    screen.until("RuntimeError: a mistake")
    assert screen.end() == 1
    assert screen.is_given_back
    screen.close()


@pytest.mark.newest_only
def test_keys_change_what_is_on_the_screen(screen: Screen) -> None:
    """Choose, filter and pause; what is drawn next shows it."""
    screen.press("\t")
    screen.until(">WORKFLOWS")
    screen.press("/def")
    screen.until("filter: ", "def")
    screen.press("\r")
    screen.until("only 'def'")
    screen.press("p")
    screen.until("PAUSED")
    screen.press("+")
    screen.until("every 0.2 s")


@pytest.mark.newest_only
def test_what_happens_appears_on_the_screen(screen: Screen, dsn: str) -> None:
    """Without a key."""
    with psycopg.connect(dsn) as conn:
        conn.execute("select pgtasker.pause_queue('default')")
    screen.until("paused")


@pytest.mark.newest_only
def test_a_lost_connection_is_shown_and_tried_again(screen: Screen, dsn: str) -> None:
    """While nobody may connect the reason is on the screen; then figures come again."""
    [name] = re.findall(r"dbname=(\w+)", psycopg.conninfo.make_conninfo(dsn))
    others = psycopg.conninfo.make_conninfo(dsn, dbname="postgres")
    with psycopg.connect(others, autocommit=True) as conn:
        conn.execute(f"alter database {name} allow_connections false".encode())
        conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
        )
        screen.until("trying again: ", "q quit")
        conn.execute(f"alter database {name} allow_connections true".encode())
    with psycopg.connect(dsn) as conn:
        conn.execute("select pgtasker.pause_queue('default')")
    screen.until("paused")


@pytest.mark.newest_only
def test_a_suspended_screen_is_drawn_again(screen: Screen) -> None:
    """Ctrl-Z gives the terminal back; when it is continued, the screen is there again."""
    screen.press("\x1a")
    screen.until("\x1b[?1049l")
    os.waitid(os.P_PID, screen.process.pid, os.WSTOPPED | os.WNOWAIT)
    assert screen.is_given_back
    screen.process.send_signal(signal.SIGCONT)
    screen.until("\x1b[?1049h", "q quit")
    screen.press("q")
    assert screen.end() == 0
    assert screen.is_given_back


@pytest.mark.newest_only
def test_a_resized_terminal_is_filled(screen: Screen) -> None:
    """The frame is laid out anew at once."""
    screen.resize(8, 50)
    screen.press("p")
    assert "WORKFLOWS" not in screen.until("PAUSED", "q quit").rpartition("\x1b[H")[2]


@pytest.mark.newest_only
def test_there_are_no_colours_where_none_are_wanted(dsn: str) -> None:
    """NO_COLOR is respected; otherwise what wants attention is red."""
    plain, coloured = top(dsn, NO_COLOR="1"), top(dsn)
    for screen in (plain, coloured):
        screen.press("q")
        assert screen.end() == 0
        screen.close()
    assert b"\x1b[1;31munserved" in coloured.printed
    assert not re.search(rb"\x1b\[[0-9;]*\b3[0-7]\b", plain.printed)


def run(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pgtasker", "--dsn", dsn, "top", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.newest_only
def test_one_frame_is_printed_for_scripts(dsn: str) -> None:
    """As text without any control sequence, and as JSON."""
    text = run(dsn, "--once").stdout
    assert "\x1b" not in text
    assert re.search(r"^ default +1 +\d+ \w+ .* unserved$", text, re.M)
    picture = json.loads(run(dsn, "--once", "--json").stdout)
    assert picture["overview"]["pending_tasks"] == 1
    assert [queue["depth"] for queue in picture["queues"]] == [1]


@pytest.mark.newest_only
def test_what_cannot_be_shown_is_one_line(dsn: str) -> None:
    """No terminal, and no database: exit status 1; a wrong use is 2."""
    refused = run(dsn)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "pgtasker: this is no terminal: --once prints one frame\n"
    assert run(dsn, "--json").returncode == 2
    nowhere = run("host=127.0.0.1 port=1 password=s3cret-word", "--once")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (1, 1)
    assert "s3cret" not in nowhere.stderr
    screen = Screen("-m", "pgtasker", "--dsn", "host=127.0.0.1 port=1 user=ann", "top")
    assert screen.end() == 1
    assert b"\x1b[?1049h" not in screen.printed
    screen.close()
