"""What the exporters' tests share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import exporting
import pytest


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of artifacts of `Residual`, by target, that another process made in another folder."""
    folder = tmp_path_factory.mktemp("else where")
    command = [sys.executable, str(Path(exporting.__file__)), str(folder), "jetson", "host", "intel-cpu"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    return folder
