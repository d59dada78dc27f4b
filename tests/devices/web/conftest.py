"""What tests of the page share: a browser, and small files that it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import exporting
import pytest
from browser import Browser
from small_networks import Residual, model_of
from torch import nn

from edgekit.artifact import ArtifactFolder
from edgekit.bench import latency
from edgekit.pipeline import browsing, profiling

BRIEF = latency.Protocol(blocks=2, warmup_seconds=0.05, min_seconds=0.05, max_seconds=1, min_samples=30)


@pytest.fixture(scope="module")
def chrome(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(chromium, tmp_path_factory.mktemp("chromium"))
    yield started
    started.close()


@pytest.fixture
def phone(chrome: Browser) -> Browser:
    """The browser as if it had just been installed."""
    chrome.fresh()
    return chrome


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short measurements: no test here looks at a latency's value."""
    monkeypatch.setattr(browsing, "QUICK", BRIEF)
    monkeypatch.setattr(profiling, "compare", partial(latency.compare, protocol=BRIEF))


@pytest.fixture(scope="session")
def onnx_int8(tmp_path_factory: pytest.TempPathFactory) -> ArtifactFolder:
    """A small network for ONNX Runtime."""
    return exporting.exported(exporting.quantized(Residual, "host"), "host", tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="session")
def tflite_int8(tmp_path_factory: pytest.TempPathFactory) -> ArtifactFolder:
    """The same network as it ships to a browser."""
    return exporting.exported(exporting.quantized(Residual, "web"), "web", tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> ArtifactFolder:
    """A small network that gives each pixel one of three classes."""

    def network() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))

    model = replace(model_of(network), task="segmentation", labels=("ground", "disc", "stripe"))
    return exporting.exported(model, "host", tmp_path_factory.mktemp("segmenter"))


@pytest.fixture(scope="session")
def onnx_float(tmp_path_factory: pytest.TempPathFactory) -> ArtifactFolder:
    """The small network in float."""
    return exporting.exported(model_of(Residual), "host", tmp_path_factory.mktemp("float"))
