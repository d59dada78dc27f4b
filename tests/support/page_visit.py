"""A profile in a browser, run in a thread of its own: its link, and what came of it."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import runtimes
from edgekit.devices import Job
from edgekit.devices.web.address import Address
from edgekit.devices.web.device import Web
from edgekit.pipeline import browsing
from edgekit.pipeline.profiling import CostProfile, profile
from edgekit.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser import Browser

    from edgekit.artifact import ArtifactFolder

LINK = re.compile(r"https?://\S+")


class Invited(Silent):
    """Keeps what a user is told."""

    def __init__(self) -> None:
        self.lines: queue.Queue[str] = queue.Queue()

    def say(self, line: str) -> None:
        self.lines.put(line)


class Visit:
    """One `edgekit profile --device web`."""

    def __init__(self, subject: Path, device: str, options: dict[str, Any]) -> None:
        self._told = Invited()
        self._found: CostProfile | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(subject, device, options), daemon=True)
        self._thread.start()
        self.invitation = ""

    def _run(self, subject: Path, device: str, options: dict[str, Any]) -> None:
        try:
            self._found = profile(subject, device=device, progress=self._told, **options)
        except Exception as error:  # noqa: BLE001  whoever asks for the result gets it
            self._error = error

    @property
    def link(self) -> str:
        """The link that was said."""
        while not (found := LINK.search(self.invitation)):
            if not self._thread.is_alive() and self._error and self._told.lines.empty():
                raise self._error
            self.invitation = self._told.lines.get(timeout=60)
        return found[0]

    def result(self, seconds: float = 120) -> CostProfile:
        """The profile, or what it raised."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "it is still waiting"
        if self._error is not None:
            raise self._error
        assert self._found is not None
        return self._found


@contextmanager
def visiting(
    artifact: ArtifactFolder, device: str = "web://127.0.0.1?wait=60", **options: Any
) -> Iterator[Visit]:
    """A profile of an artifact that waits for its page; the test ends it by opening the page or by its faults."""
    yield Visit(artifact.folder, device, {"threads": 2, **options})


def on_page(
    phone: Browser,
    artifact: ArtifactFolder,
    work: Callable[[Web], object],
    address: Address = Address(wait_s=60),  # noqa: B008  it is frozen
) -> None:
    """Do something with the device itself, its page open."""
    device, links = Web(address), list[str]()
    said = threading.Event()

    def say(text: str) -> None:
        links.append(next(word for word in text.split() if word.startswith("http")))
        said.set()

    def visit() -> None:
        said.wait(60)
        phone.visit(links[0])

    subject = browsing.subject_of(artifact, "onnxruntime", 2)
    opening = threading.Thread(target=visit)
    opening.start()
    with device.opened(subject, say):
        opening.join()
        work(device)


def job_of(model: Path, mode: str = "latency", **changes: object) -> Job:
    limits = {"warmup_seconds": 0.1, "min_seconds": 0.1, "max_seconds": 1.0, "min_samples": 10}
    made = Job("latency", runtimes.find("onnxruntime").file, (model,), 2, {}, limits, timeout_s=60)
    return replace(made, mode=mode, **changes)  # type: ignore[arg-type]
