"""What the exporters' tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import exporting
import pytest
import trtexec_stand_in
from small_networks import Residual

from edgekit.artifact import ArtifactFolder
from edgekit.bench import Protocol
from edgekit.pipeline import assess
from edgekit.tomlfile import folder_of


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


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a stand-in for trtexec on the PATH, before a home of its own; gives the folder that knows its calls."""
    path = os.environ["PATH"]
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv(
        "XDG_CACHE_HOME", raising=False
    )  # engines lie there otherwise, those of other tests too

    def put(version: str = "10.3.0", **orders: object) -> Path:
        folder = trtexec_stand_in.install(tmp_path / f"tools {version}", version, **orders)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{path}")
        return folder

    return put


@pytest.fixture(scope="session")
def int8(tmp_path_factory: pytest.TempPathFactory) -> ArtifactFolder:
    """A small network as it ships to a Jetson, INT8 with its FP16 rival beside it."""
    model = exporting.quantized(Residual, "jetson")
    return exporting.exported(model, "jetson", tmp_path_factory.mktemp("int8"))


@pytest.fixture(scope="session")
def phone_int8(tmp_path_factory: pytest.TempPathFactory) -> ArtifactFolder:
    """The same network as it ships to a phone."""
    model = exporting.quantized(Residual, "android")
    return exporting.exported(model, "android", tmp_path_factory.mktemp("phone int8"))


@pytest.fixture
def jetson(tmp_path: Path) -> str:
    """The target `jetson`, for which any machine will do."""
    text = (folder_of("target") / "jetson-orin-nano.toml").read_text()
    path = tmp_path / "jetson-orin-nano.toml"
    path.write_text(text.replace('device_tree = "Jetson Orin Nano"', ""))
    return str(path)
