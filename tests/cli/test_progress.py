"""Progress: plain lines in a log, a bar on a terminal, and never a word on standard output."""

from __future__ import annotations

import io
import sys

import pytest

from edgekit.cli import progress


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_log_gets_the_start_a_line_for_each_fifth_and_the_end(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = progress.shown()
    with shown.task("train", total=100) as advance:
        for step in range(100):
            clock.now += 1
            advance(note=f"loss {100 - step}")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "train ...",
        "train: 20 %, about 1 min 20 s left, loss 81",
        "train: 40 %, about 1 min 00 s left, loss 61",
        "train: 60 %, about 40 s left, loss 41",
        "train: 80 %, about 20 s left, loss 21",
        "train: done in 1 min 40 s, loss 1",
    ]


def test_a_short_step_is_two_lines(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown().task("trace", total=10) as advance:
        for _ in range(10):
            clock.now += 0.1
            advance()
    assert capsys.readouterr().err.splitlines() == ["trace ...", "trace: done in 1 s"]


def test_a_step_that_failed_does_not_say_that_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), progress.shown().task("train", total=3):
        raise RuntimeError
    assert "done" not in capsys.readouterr().err


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_lines_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    shown = progress.shown()
    with shown.task("compress [bold]x[/]", total=2) as outer, shown.task("train", total=4) as inner:
        inner(4, note="loss 0.5")
        shown.say("said [between]")
        outer(2)
    text = terminal.getvalue()
    assert "said [between]" in text
    assert "train: done in 0 s, loss 0.5" in text
    assert "compress [bold]x[/]: done in 0 s" in text
    assert "0/4" in text
    assert capsys.readouterr().out == ""


def test_a_bar_is_taken_away_when_its_step_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(RuntimeError), progress.shown().task("train", total=4):
        raise RuntimeError
    assert terminal.getvalue().rpartition("\x1b[?25")[2].startswith("h")  # the cursor is shown again
    assert "done" not in terminal.getvalue()
