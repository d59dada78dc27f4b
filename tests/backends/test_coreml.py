"""Core ML beside the .tflite: converted here, described, the same bytes again. What it computes only macOS can tell."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bundles import LOCAL, bundled
from exporting import exported
from small_networks import Residual, model_of
from torch import Tensor, nn

from edgekit import optional
from edgekit.artifact import ArtifactFolder
from edgekit.bundle import verify_bundle, zipped
from edgekit.bundle.manifest import read_manifest
from edgekit.errors import InputError
from edgekit.exporters import coreml

SPECIFICATION = """
import json, sys
from coremltools.models.utils import load_spec
told = load_spec(sys.argv[1]).description
print(json.dumps({part.name: list(part.type.multiArrayType.shape) for part in (*told.input, *told.output)}))
"""


class Pooled(nn.Module):
    """Max pooling whose stride is left to its window: coremltools wants to be told."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.nn.functional.max_pool2d(self.stem(x), 2)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> ArtifactFolder:
    return exported(model_of(Residual), "android", tmp_path_factory.mktemp("artifact"))


@pytest.mark.slow
def test_a_bundle_holds_it_whole_and_in_the_same_bytes(artifact: ArtifactFolder, tmp_path: Path) -> None:
    one, two = (bundled(artifact, tmp_path / name, model_of(Residual)) for name in ("one", "two"))
    assert zipped(one) == zipped(two)
    assert verify_bundle(one, LOCAL).holds
    manifest = read_manifest(one)
    assert "model.mlpackage/Manifest.json" in manifest.sha256
    assert "only macOS runs Core ML" in manifest.notes[-1]
    told = subprocess.run(
        [sys.executable, "-c", SPECIFICATION, str(one / "model.mlpackage")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout)["image"] == [1, 3, 32, 32]
    assert set(json.loads(told.stdout)) == {"image", "logits"}


@pytest.mark.slow
def test_pooling_without_a_stride_converts(tmp_path: Path) -> None:
    assert (coreml.write_package(model_of(Pooled), tmp_path) / "Manifest.json").is_file()


@pytest.mark.slow
def test_what_it_cannot_convert_is_told(artifact: ArtifactFolder, tmp_path: Path) -> None:
    class Inverse(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            inverse: Tensor = torch.linalg.inv(x)
            return inverse

    network = replace(model_of(Residual), module=Inverse().eval())
    with pytest.raises(InputError, match="coremltools cannot convert the network"):
        coreml.write_package(network, tmp_path)
    assert list(tmp_path.iterdir()) == []
    manifest = read_manifest(bundled(artifact, tmp_path / "bundle", network))
    assert manifest.notes[-1].startswith("no Core ML file: coremltools cannot convert the network")
    assert not [name for name in manifest.sha256 if "mlpackage" in name]


def test_without_coremltools_the_bundle_says_so(
    artifact: ArtifactFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optional, "installed", lambda module: module != "coremltools")
    manifest = read_manifest(bundled(artifact, tmp_path / "bundle", model_of(Residual)))
    assert manifest.notes[-1] == "no Core ML file: coremltools is not installed"
