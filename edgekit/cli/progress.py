"""How long steps are shown, on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from edgekit.progress import Advance, Progress
from edgekit.units import human_seconds

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

LINES: Final = 5
"""A step tells this many times how far it is, the end included."""
QUIET_SECONDS: Final = 2.0
"""A step that is over sooner says so in one line."""


def shown() -> Progress:
    """The progress for this standard error."""
    return _Bars() if sys.stderr.isatty() else _Lines()


class _Bars:
    """Bars on a terminal; steps may run inside steps."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._bars: Bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
        )
        self._running = 0

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        """A bar, and in its place a line with the seconds it took when it is done."""
        bar = self._bars.add_task(title, total=total, note="")
        started, last = time.monotonic(), ""

        def advance(steps: int = 1, *, note: str = "") -> None:
            nonlocal last
            last = note or last
            self._bars.update(bar, advance=steps, note=last)

        self._running += 1
        self._bars.start()
        try:
            yield advance
            self._console.print(_done(title, time.monotonic() - started, last))
        finally:
            self._bars.remove_task(bar)
            self._running -= 1
            if not self._running:
                self._bars.stop()

    def say(self, line: str) -> None:
        """A line above the bars."""
        self._console.print(line, soft_wrap=True)


class _Lines:
    """Lines for a log: the start, every fifth of the way, the end with the seconds it took."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        """Steps that are over at once leave only their last line."""
        started, done, told, last = time.monotonic(), 0, 0, ""

        def advance(steps: int = 1, *, note: str = "") -> None:
            nonlocal done, told, last
            done, last = done + steps, note or last
            seconds, reached = time.monotonic() - started, LINES * done // max(total, 1)
            if told < reached < LINES and seconds >= QUIET_SECONDS:
                told = reached
                left = seconds / done * (total - done)
                self.say(
                    f"{title}: {100 * done // total} %, about {human_seconds(left)} left"
                    + (f", {last}" if last else "")
                )

        self.say(f"{title} ...")
        yield advance
        self.say(_done(title, time.monotonic() - started, last))

    def say(self, line: str) -> None:
        """A line on standard error, at once."""
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _done(title: str, seconds: float, note: str) -> str:
    return f"{title}: done in {human_seconds(seconds)}" + (f", {note}" if note else "")
