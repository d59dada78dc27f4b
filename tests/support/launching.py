"""Programs in one process, and in two that accelerate starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent
LAUNCH = (
    "-m",
    "accelerate.commands.launch",
    "--multi_gpu",  # its way to start several processes, with a GPU each or without any
    "--num_machines=1",
    "--num_processes=2",
    "--main_process_port=0",
    "--mixed_precision=no",
    "--dynamo_backend=no",
)


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python program with the tests' support modules; its own network is the loopback."""
    paths = [str(SUPPORT.parents[1]), str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    more = {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | more | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def launched(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same program in two processes."""
    return run(*LAUNCH, *command, **environment)
