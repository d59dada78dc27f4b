"""A runtime that needs no package: jobs for it, its processes, and whether they are gone."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from edgekit.devices import Answer, Array, Device, Failure, Job

LIMITS = {"warmup_seconds": 0.01, "min_seconds": 0.02, "max_seconds": 1.0, "min_samples": 20}

# A runtime whose network doubles its input; {body} is what `invoke` does besides.
RUNTIME = """
import os, signal, subprocess, sys, time
import numpy as np

class Session:
    def __init__(self, path, threads, options):
        self.threads, self.options = threads, options
    def feed(self, batch):
        self.batch = batch
    def invoke(self):
        self.output = self.batch * 2
        {body}
    def result(self):
        return self.output
    def run(self, batch):
        self.feed(batch)
        self.invoke()
        return self.result()
    def executed(self):
        environment, path = dict(os.environ), sys.path
        return {{"threads": self.threads, "options": self.options, "environment": environment, "path": path}}

def version():
    return "1.2.3"
"""


def job(
    folder: Path,
    body: str = "pass",
    *,
    mode: Literal["latency", "predict"] = "latency",
    timeout_s: float = 30,
) -> Job:
    runtime = folder / "fake_runtime.py"
    runtime.write_text(RUNTIME.format(body=body))
    model = folder / "model.bin"
    model.touch()
    return Job(mode, runtime, (model,), 3, {"key": "value"}, LIMITS, timeout_s)


def inputs(count: int = 1) -> Array:
    return np.arange(count * 12, dtype=np.float32).reshape(count, 3, 2, 2)


def by_turns(
    device: Device, folder: Path, bodies: Sequence[str], turns: int, *, timeout_s: float = 30
) -> list[Answer | Failure]:
    """What jobs of these bodies give that sample together."""
    jobs = []
    for place, body in enumerate(bodies):
        (folder / str(place)).mkdir()
        made = job(folder / str(place), body, timeout_s=timeout_s)
        jobs.append(replace(made, limits=LIMITS | {"turn_seconds": 0.02}))
    return device.call_together(jobs, [inputs()] * len(jobs), turns)


def pids(mark: Path) -> list[int]:
    """The process ids that a runtime wrote, once it did."""
    deadline = time.monotonic() + 60
    while not (mark.exists() and mark.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(pid) for pid in mark.read_text().split()]


def ended(pid: int) -> bool:
    """Gone, or a zombie that init has not collected yet."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False
