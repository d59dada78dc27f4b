"""What passes between edgekit and the one page that it serves: asked here, answered there, or gone."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.devices.web.messages import Reply

LOST_S = 20.0
"""A page that was not heard for so long is gone; it tells every two seconds that it is there."""
HOLD_S = 8.0
"""How long a page that asks for work is kept waiting before it is told that there is none yet."""
CHECK_S = 0.5
OPEN_AGAIN = (
    "run the command again, open its new link, and keep the page in front until it says that it is done"
)


@dataclass(frozen=True)
class Question:
    """One thing that the page is asked to do."""

    number: int
    message: Mapping[str, Any]
    files: Mapping[str, bytes | Path]
    """By the names that the message gives them."""


class Desk:
    """Thread-safe: the command asks in its own thread, the page's requests come in the server's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._client = ""
        self._heard = 0.0
        self._left = ""
        self._started = False
        self._question: Question | None = None
        self._taken = False
        self._reply: Reply | None = None
        self.facts: Mapping[str, str] = {}
        self.strangers = 0
        """Requests with another token than the link's."""
        self.refused = 0
        """Pages that came while another one had the link."""

    # What the page's requests do.

    def hello(self, client: str, facts: Mapping[str, str]) -> bool:
        """A page was opened: False where the link is another page's."""
        with self._changed:
            own = client == self._client
            if not own and self._client and (self._started or self._is_there()):
                self.refused += 1
                return False
            if own and self._taken:
                self._left = "was loaded anew in the middle of its work"
            else:
                self._client, self._left = client, ""
            self._heard, self.facts = time.monotonic(), facts
            self._changed.notify_all()
            return True

    def next(self, client: str, seen: int) -> Question | None:
        """What the page is to do after the question `seen`, which may take a while to come.

        A question whose way there was cut is given again.
        """
        with self._changed:
            if not self._hear(client):
                return None
            self._changed.wait_for(lambda: self._newer(seen) is not None, HOLD_S)
            found = self._newer(seen)
            if not self._hear(client) or found is None:
                return None
            self._taken = self._started = True
            return found

    def answer(self, client: str, number: int, reply: Reply) -> None:
        """What came of a question; one that nobody waits for any more is dropped."""
        with self._changed:
            if self._hear(client) and self._question is not None and self._question.number == number:
                self._reply = reply
                self._changed.notify_all()

    def alive(self, client: str) -> bool:
        """The page is at work; False where it is not the one that edgekit speaks to."""
        with self._changed:
            return self._hear(client)

    def bye(self, client: str) -> None:
        """The page was closed."""
        with self._changed:
            if client == self._client:
                self._left = "was closed"
                self._changed.notify_all()

    def file(self, name: str) -> bytes | Path | None:
        """A file of the present question."""
        with self._changed:
            return self._question.files.get(name) if self._question else None

    # What the command does.

    def wait(self, seconds: float) -> None:
        """Wait until a page was opened; raises `MissingError`."""
        with self._changed:
            if self._changed.wait_for(lambda: bool(self._client) and not self._left, seconds):
                return
            strangers = f" ({self.strangers} requests came with a wrong link)" if self.strangers else ""
            raise MissingError(
                f"nobody opened the link within {seconds:g} s{strangers}",
                hint="run the command again, and open the whole link that it shows; "
                "another device reaches a loopback address by `adb reverse` alone",
            )

    def ask(
        self, message: Mapping[str, Any], files: Mapping[str, bytes | Path], seconds: float
    ) -> Reply | None:
        """The page's answer; None where it lives and has none after so long. Raises `MissingError` where it is gone."""
        with self._changed:
            self._question, self._taken, self._reply = (
                Question(next(self._numbers), message, files),
                False,
                None,
            )
            self._changed.notify_all()
            deadline = time.monotonic() + seconds
            try:
                while not self._changed.wait_for(lambda: self._reply is not None, CHECK_S):
                    self._check()
                    if time.monotonic() > deadline:
                        break
                return self._reply
            finally:
                self._question, self._taken = None, False

    def _newer(self, seen: int) -> Question | None:
        return self._question if self._question is not None and self._question.number > seen else None

    def _check(self) -> None:
        if self._left:
            raise MissingError(f"the page {self._left} before it had answered", hint=OPEN_AGAIN)
        if not self._is_there():
            raise MissingError(
                f"nothing was heard of the page for {LOST_S:g} s: it was closed, its device sleeps, or the "
                "connection was cut",
                hint=OPEN_AGAIN,
            )

    def _is_there(self) -> bool:
        return not self._left and time.monotonic() - self._heard < LOST_S

    def _hear(self, client: str) -> bool:
        if not client or client != self._client:
            return False
        self._heard = time.monotonic()
        return True
