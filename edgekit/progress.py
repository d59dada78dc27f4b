"""How long steps tell that they advance; who shows it (a bar, plain lines, nobody) is `cli`'s affair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Advance(Protocol):
    """Tells that `steps` more are done; `note` is the state worth reading (a loss, an accuracy)."""

    def __call__(self, steps: int = 1, *, note: str = "") -> None:
        """Advance."""
        ...


class Progress(Protocol):
    """What a library call is given to report on."""

    def task(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """One long step of `total` equal parts; use it in a `with` block."""
        ...

    def say(self, line: str) -> None:
        """One line that a user should read now."""
        ...


class Silent:
    """The default from Python: nothing is shown."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        """Counts nothing."""

        def advance(steps: int = 1, *, note: str = "") -> None:
            """Shows nothing."""

        yield advance

    def say(self, line: str) -> None:
        """Says nothing."""
