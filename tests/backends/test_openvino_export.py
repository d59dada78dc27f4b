"""OpenVINO IR: the same integers as everywhere, on OpenVINO's integer kernels, always the same bytes."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import pytest
import torch
from exporting import exported, quantized
from small_networks import Picked, Residual, Shuffled, layer, model_of, pictures
from torch import nn

from edgekit.exporters import Counts, integer_counts, tensor_parity, weights_in
from edgekit.exporters.layer_parity import first_departed
from edgekit.parity import sqnr_db
from edgekit.quantizer.reference import quantized_graph

if TYPE_CHECKING:
    from edgekit.artifact import ArtifactFolder
    from edgekit.model import Model
    from edgekit.parity import Array

TARGET = "intel-cpu"


class Ghosts(nn.Module):
    """GhostNet's operators: what a cheap convolution makes of a result is laid beside it, twice over."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.cheap = layer(3, 8, 3, stride=2), layer(8, 8, 3, groups=8)
        self.dense, self.classifier = layer(16, 16), nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.cat((x, self.cheap(x)), 1)
        x = torch.cat((x, self.dense(x)), 1)
        logits: torch.Tensor = self.classifier(x.mean((2, 3)))
        return logits


class Tokens(nn.Module):
    """A convolution and two products of tokens of as many channels: one zero point would serve the three."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = layer(3, 16, 3, stride=4), nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        logits: torch.Tensor = self.two(self.one(tokens).relu()).mean(1)
        return logits


NETWORKS: dict[str, type[nn.Module]] = {
    "residual": Residual,
    "shuffled": Shuffled,
    "ghosts": Ghosts,
    "tokens": Tokens,
}


class Summed(nn.Module):
    """Ends in a sum, whose result is quantized: an operator of integers gives the output."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = layer(3, 8, 3, stride=2), layer(8, 8), layer(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        total: torch.Tensor = self.one(x).relu() + self.two(x).relu()
        return total


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return Artifacts(tmp_path_factory.mktemp("openvino"))


class Artifacts:
    """Each network is exported once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.of = cache(self._export)

    def _export(self, network: str) -> tuple[Model, ArtifactFolder]:
        model = quantized(NETWORKS[network], TARGET)
        return model, exported(model, TARGET, self.folder / network)


def compiled(path: Path) -> Any:
    core = openvino.Core()
    return core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def run(network: Any, images: Array) -> Array:
    return np.concatenate([network({"input": image[None]})["output"] for image in images])


@pytest.mark.parametrize("network", NETWORKS)
def test_the_file_computes_what_pytorch_does(artifacts: Artifacts, network: str) -> None:
    _, artifact = artifacts.of(network)
    images, expected = artifact.parity()
    assert sqnr_db(expected, run(compiled(artifact.model_path), images)) > 35
    artifact.verify()


@pytest.mark.parametrize("network", NETWORKS)
def test_every_convolution_runs_on_integers(artifacts: Artifacts, network: str) -> None:
    _, artifact = artifacts.of(network)
    kinds = Counter()  # type: ignore[var-annotated]
    for operator in compiled(artifact.model_path).get_runtime_model().get_ops():
        facts = operator.get_rt_info()
        kinds[facts["layerType"].astype(str), facts["runtimePrecision"].astype(str)] += 1
    counts = integer_counts(artifact)
    assert counts.integer == counts.weighted
    assert kinds["Convolution", "u8"] + kinds["FullyConnected", "u8"] == counts.weighted
    assert kinds["Convolution", "f32"] == 0


def test_what_is_laid_side_by_side_and_read_beside_that_is_rounded_in_the_convolution(
    artifacts: Artifacts,
) -> None:
    _, artifact = artifacts.of("ghosts")
    operators = compiled(artifact.model_path).get_runtime_model().get_ops()
    facts = [operator.get_rt_info() for operator in operators]
    given = [each["outputPrecisions"].astype(str) for each in facts
             if each["layerType"].astype(str) == "Convolution"]  # fmt: skip
    assert given == ["u8"] * 3


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_are_stored_as_integers_under_the_network_s_names(artifacts: Artifacts, network: str) -> None:
    model, artifact = artifacts.of(network)
    buffers = dict(quantized_graph(model).named_buffers())
    stored = weights_in(artifact)
    assert set(stored) == {name.removesuffix(".weight") for name in buffers if name.endswith(".weight")}
    for name, values in stored.items():
        assert np.array_equal(values, buffers[f"{name}.weight"].numpy()), name
    bytes_of_weights = sum(values.nbytes for values in stored.values())
    assert (
        artifact.folder / "model.bin"
    ).stat().st_size < 2 * bytes_of_weights  # scales and biases weigh here


def test_float_weights_stay_float32(tmp_path: Path) -> None:
    model = model_of(Residual)
    artifact = exported(model, TARGET, tmp_path)
    images, expected = artifact.parity()
    assert sqnr_db(expected, run(compiled(artifact.model_path), images)) > 90
    assert integer_counts(artifact) == Counts(integer=0, weighted=12)
    assert {values.dtype for values in weights_in(artifact).values()} == {np.dtype(np.float32)}


def test_another_process_in_another_folder_writes_the_same_bytes(
    artifacts: Artifacts, elsewhere: Path
) -> None:
    _, artifact = artifacts.of("residual")
    for path in sorted(artifact.folder.iterdir()):
        assert path.read_bytes() == (elsewhere / TARGET / path.name).read_bytes(), path.name
    assert b".onnx" not in artifact.model_path.read_bytes()


def test_the_first_tensor_that_departs_is_named_as_openvino_computes_it(artifacts: Artifacts) -> None:
    model, artifact = artifacts.of("residual")
    images, _ = artifact.parity()
    assert model.quantization is not None
    layers = tensor_parity(model, artifact, images)
    assert len(layers) > 0.8 * len(set(model.quantization.activations.values()))
    assert first_departed(layers) is None
    changed = copy.deepcopy(model.module)
    with torch.no_grad():
        weight = changed.get_parameter("features.2.conv.1.0.weight")
        weight.copy_(weight.flip(0))
    found = first_departed(tensor_parity(replace(model, module=changed), artifact, images))
    assert found is not None
    assert found.node == "hardtanh_4"  # behind the third block's depthwise convolution
    assert tensor_parity(replace(model, quantization=None), artifact, images) == []


def test_a_tensor_that_is_the_networks_output_is_compared_too(tmp_path: Path) -> None:
    model = quantized(Summed, TARGET)
    layers = tensor_parity(model, exported(model, TARGET, tmp_path), pictures(2))
    assert "add" in [each.node for each in layers]
    assert first_departed(layers) is None


def test_a_layer_behind_an_index_is_counted_as_the_integer_one_it_is(tmp_path: Path) -> None:
    artifact = exported(quantized(Picked, TARGET), TARGET, tmp_path)
    assert integer_counts(artifact) == Counts(integer=3, weighted=3)


@pytest.mark.parametrize(
    "opened",
    [
        "from edgekit.exporters.openvino import package; package()",
        "from edgekit.runtimes import openvino_cpu; openvino_cpu.version()",
    ],
)
def test_nobody_is_told_that_openvino_was_imported(opened: str) -> None:
    told = "import sys; assert 'openvino.tools.ovc.telemetry_stub' in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", f"{opened}; {told}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
