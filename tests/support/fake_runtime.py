"""A runtime that needs no package: a job for it, and whether its process is gone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import numpy as np

from edgekit.devices import Array, Job

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
