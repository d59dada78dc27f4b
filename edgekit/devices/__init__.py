"""Devices: the only code that knows how to reach hardware, one file each.

A device's file holds `SCHEME` (what its URIs begin with) and `open_uri(uri) -> Device`; it is found by
looking at what lies in this folder. The work is done on the device by `runner.py`, alone in a process.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from edgekit.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from edgekit.devices.web.subject import Subject
    from edgekit.measurement import DeviceState

Array = np.ndarray[Any, Any]
HERE = "local"
"""The URI of the machine that runs edgekit."""


@dataclass(frozen=True)
class Job:
    """One run of `runner.py`; paths are this machine's, and the device puts the files in its reach."""

    mode: Literal["latency", "predict", "probe", "layers"]
    runtime: Path
    """The runtime's self-contained file."""
    model_files: tuple[Path, ...] = ()
    """The file that the runtime opens, then those that it expects beside it."""
    threads: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    """When the sampling of `latency` ends."""
    timeout_s: float = 60
    """After so long the process counts as hanging and is killed."""
    batch: int = 1
    """Inputs that the file takes at once."""
    keep: bool = False
    """Whether what the runtime leaves in `kept/` comes back: an engine may be large."""

    def spec(self, *, runtime: str, model: str) -> dict[str, object]:
        """What `runner.py` reads, with the paths that both have where it runs."""
        return {
            "mode": self.mode,
            "runtime": runtime,
            "model": model,
            "threads": self.threads,
            "options": dict(self.options),
            "batch": self.batch,
            "keep": self.keep,
            "limits": dict(self.limits),
        }


@dataclass(frozen=True)
class Answer:
    """What the runner wrote."""

    values: Mapping[str, Any]
    outputs: Array | None = None
    kept: Mapping[str, bytes] = field(default_factory=dict)
    """Where the job wanted them, files that the runtime left in `kept/` beside its `job.json`, by name: an engine."""


@dataclass(frozen=True)
class Failure:
    """A run that gave no answer: reason enough to reject a candidate, never to end a pipeline."""

    kind: Literal["crash", "hang", "error", "missing"]
    reason: str
    """What happened and how far the run had come; for `missing`, the module's name."""
    log: str = ""
    """The end of what the process wrote."""
    install: str = ""
    """The command that installs packages on that device; empty for this machine."""


class Device(Protocol):
    """A machine that runs jobs one at a time, each in a clean process of its own."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def call(self, job: Job, inputs: Array | None = None) -> Answer | Failure:
        """Run a job on `inputs` (n, C, H, W); raises `MissingError` where the device cannot be reached."""
        ...

    def call_together(
        self, jobs: Sequence[Job], inputs: Sequence[Array], turns: int
    ) -> list[Answer | Failure]:
        """Run latency jobs side by side, each alone in its process; they sample by turns, A B, B A, and so on.

        Their `limits` hold `turn_seconds`. Where one fails, the others end with what they have. Raises
        `MissingError` where the device cannot be reached.
        """
        ...

    def state(self) -> DeviceState:
        """What the machine tells of itself now."""
        ...


class TimesOnly:
    """What a device is that times files and gives none of their outputs: `predict` fails on it."""


class Opened:
    """What a device is that somebody must open before it answers: a page, in a browser."""

    @property
    def ready(self) -> str:
        """What it has, before anybody opens it."""
        raise NotImplementedError

    def opened(self, subject: Subject, say: Callable[[str], None]) -> AbstractContextManager[None]:
        """Invite by `say`, and wait until it is open; it is closed when the block ends."""
        raise NotImplementedError

    def app_path(self) -> Mapping[str, Sequence[int]] | Failure:
        """Nanoseconds of each step from a picture file to its answer, a value a run."""
        raise NotImplementedError

    def done(self, summary: Mapping[str, str]) -> None:
        """Show there what came of it."""
        raise NotImplementedError


def answering(device: Device) -> Device:
    """Where a file's outputs are computed: on the device, or on this machine where the device gives none.

    Whoever reports such outputs must say that they are this machine's.
    """
    if not isinstance(device, TimesOnly):
        return device
    return open_device(HERE)


def open_device(uri: str) -> Device:
    """The device at a URI; raises `MissingError` for one that is unknown or cannot be reached."""
    openers: dict[str, Callable[[str], Device]] = {}
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        if hasattr(module, "SCHEME"):
            openers[module.SCHEME] = module.open_uri
    scheme = uri.partition("://")[0]
    if scheme not in openers:
        raise MissingError(f"unknown device URI {uri!r}", hint=f"known: {', '.join(sorted(openers))}")
    return openers[scheme](uri)
