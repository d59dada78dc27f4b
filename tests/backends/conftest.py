"""What the exporters' tests share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import exporting
import pytest

from edgekit.bench import Protocol
from edgekit.pipeline import assess


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of artifacts of `Residual`, by target, that another process made in another folder."""
    folder = tmp_path_factory.mktemp("else where")
    command = [sys.executable, str(Path(exporting.__file__)), str(folder), "jetson", "host", "intel-cpu"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    return folder


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of one's own, and measurements as short as they can be: for tests that look at no latency's value."""
    protocol = Protocol(blocks=1, warmup_seconds=0.01, min_seconds=0.01, max_seconds=0.2, min_samples=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(assess, "PROTOCOL", protocol)
        yield
