"""A module of edgekit as a script in a process of its own: what may crash, hang or write wherever it can."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def call(
    module: str, folder: Path, timeout_s: int, *, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a module on a folder: its exit status (a signal's is negative), and the last line that it complained in.

    `env` takes the place of this process's. Raises `subprocess.TimeoutExpired`.
    """
    command = [sys.executable, "-P", "-m", module, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, env=env)
    return ended.returncode, (ended.stderr.strip().splitlines() or ["without a word"])[-1]
