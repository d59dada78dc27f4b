"""Runtimes: one self-contained file each, found by looking at what lies in this folder.

A runtime's file imports the standard library and numpy only (its package loads inside functions), never
edgekit, because it is handed to `devices/runner.py` alone, on this machine or on another one. It holds

- `NAME`, `DISTRIBUTION` (what pip calls it), `EXTRA` (of edgekit, that brings it), `FORMATS` (suffixes of the
  files that it opens) and `OPTIONS` (that a candidate may set, with their defaults); one that pip does not bring
  leaves both empty and says in `MEND` what does; `OPEN_SECONDS` where opening a file may take minutes;
- `TINY_MODEL`: base64 of a file, in the last of these formats, that computes relu(x) for x (1, 1, 2, 2): a
  diagnosis really opens and runs one;
- `version() -> str` and `precisions() -> list[str]`: what a float file can run in on this processor;
- `Session(path, threads, options)` with `feed(batch)`, `invoke()`, `result()`, `run(batch)` and `executed()`; one
  that times inferences in a loop of its own has `measure(warmup_seconds, min_seconds, min_samples)` too, which gives
  `samples_ns`, `warmup_ns`, `clock_ns` (the clock's step) and `peak_rss_bytes`;
- `Profiled(path, threads, options)` with `feed(batch)`, `invoke()`, `start()` where the warm-up ends, and
  `operators()`: for each operator in the order in which they run its `name`, `kind`, `parts` (names in the file, where
  the runtime tells them) and `times_ns`, of each inference since the start or their mean alone.

A session works in the process's folder; what it leaves in `kept/` there is brought back from the device.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgekit.errors import unknown

RUNTIME_OF = {"onnx": "onnxruntime", "openvino": "openvino", "tflite": "litert"}
"""What opens a file of each format where no target says otherwise."""
TURNS = 10


@dataclass(frozen=True)
class Runtime:
    """What is known of a runtime without importing its package."""

    name: str
    distribution: str
    extra: str
    by_hand: str
    """What brings it where pip does not."""
    open_seconds: float
    """What opening a file may take on top of the time that its inferences have."""
    turns: int
    """How often two files take turns while a pair of blocks is measured; each turn may be a process of its own."""
    times_itself: bool
    """Whether its own loop takes the times, so that no call of it can be made slower."""
    formats: tuple[str, ...]
    options: tuple[str, ...]
    file: Path

    @property
    def probe_seconds(self) -> float:
        """What opening and running its tiny model may take."""
        return 60 + self.open_seconds

    def mend(self, install: str = "") -> str:
        """The command that brings it: edgekit's extra here, its own package by `install` on another machine."""
        if self.by_hand:
            return self.by_hand
        return f"{install} {self.distribution}" if install else f"pip install 'edgekit[{self.extra}]'"


@cache
def runtimes() -> dict[str, Runtime]:
    """All runtimes by name."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    return {
        module.NAME: Runtime(
            name=module.NAME,
            distribution=module.DISTRIBUTION,
            extra=module.EXTRA,
            by_hand=getattr(module, "MEND", ""),
            open_seconds=getattr(module, "OPEN_SECONDS", 0),
            turns=getattr(module, "TURNS", TURNS),
            times_itself=hasattr(module.Session, "measure"),
            formats=tuple(module.FORMATS),
            options=tuple(module.OPTIONS),
            file=Path(str(module.__file__)),
        )
        for module in modules
    }


def find(name: str) -> Runtime:
    """The runtime of that name; raises `InputError` with the near ones."""
    if name not in runtimes():
        raise unknown("runtime", name, runtimes())
    return runtimes()[name]
