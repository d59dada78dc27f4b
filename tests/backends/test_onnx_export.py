"""ONNX files: PyTorch's integers in them, PyTorch's numbers out of them, small, clean, always the same bytes."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exporting import exported, quantized
from onnx import numpy_helper
from small_networks import Gated, Residual, Shuffled, Twice, model_of, pictures
from torch import nn

from edgekit import optional
from edgekit.errors import EdgekitError, MissingError
from edgekit.exporters import Counts, integer_counts, tensor_parity, weights_in
from edgekit.exporters.layer_parity import first_departed
from edgekit.exporters.onnx_graph import to_onnx
from edgekit.model import Source
from edgekit.parity import sqnr_db
from edgekit.quantizer.reference import quantized_graph
from edgekit.zoo import build

if TYPE_CHECKING:
    from edgekit.artifact import ArtifactFolder
    from edgekit.model import Model
    from edgekit.parity import Array

NETWORKS: dict[str, type[nn.Module]] = {
    "residual": Residual,
    "shuffled": Shuffled,
    "gated": Gated,
    "twice": Twice,
}
CASES = [
    ("residual", "host"),
    ("shuffled", "host"),
    ("gated", "host"),
    ("residual", "jetson"),
    ("shuffled", "jetson"),
    ("twice", "host"),
]


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return Artifacts(tmp_path_factory.mktemp("onnx"))


class Artifacts:
    """Each case is exported once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.of = cache(self._export)

    def _export(self, network: str, target: str) -> tuple[Model, ArtifactFolder]:
        model = quantized(NETWORKS[network], target)
        return model, exported(model, target, self.folder / f"{network}-{target}")


def run(path: Path, images: Array, optimized: Path | None = None) -> Array:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["output"], {"input": image[None]})[0] for image in images])


@pytest.mark.parametrize(("network", "target"), CASES)
def test_the_file_computes_what_pytorch_does(artifacts: Artifacts, network: str, target: str) -> None:
    _, artifact = artifacts.of(network, target)
    images, expected = artifact.parity()
    assert sqnr_db(expected, run(artifact.model_path, images)) > 35
    onnx.checker.check_model(str(artifact.model_path), full_check=True)
    artifact.verify()


@pytest.mark.parametrize(("network", "target"), CASES)
def test_weights_are_stored_as_integers_under_the_network_s_names(
    artifacts: Artifacts, network: str, target: str
) -> None:
    model, artifact = artifacts.of(network, target)
    buffers = dict(quantized_graph(model).named_buffers())
    stored = weights_in(artifact)
    layers = {name.removesuffix(".weight") for name in buffers if name.endswith(".weight")}
    assert set(stored) == layers
    for layer, values in stored.items():
        assert values.dtype == np.int8
        assert np.array_equal(values, buffers[f"{layer}.weight"].numpy())
    uses = 1 if network == "twice" else 0  # of a layer that was counted already
    assert integer_counts(artifact) == Counts(integer=len(layers) + uses, weighted=len(layers) + uses)


def test_the_graph_is_small_and_clean(artifacts: Artifacts) -> None:
    _, artifact = artifacts.of("residual", "host")
    text = artifact.model_path.read_bytes()
    proto = onnx.load(artifact.model_path)
    operators = Counter(node.op_type for node in proto.graph.node)
    assert set(operators) == {
        "QuantizeLinear",
        "DequantizeLinear",
        "Conv",
        "Clip",
        "Add",
        "GlobalAveragePool",
        "Squeeze",
        "Gemm",
    }
    assert {entry.domain for entry in proto.opset_import} == {""}
    assert next(iter(proto.opset_import)).version == 19
    assert [value.name for value in (*proto.graph.input, *proto.graph.output)] == ["input", "output"]
    used = {name for node in proto.graph.node for name in node.input}
    assert {tensor.name for tensor in proto.graph.initializer} <= used
    assert not proto.functions
    floats = [tensor for tensor in proto.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    assert all(len(tensor.dims) < 2 for tensor in floats)  # scales and biases alone
    assert {node.name for node in proto.graph.node if node.op_type == "Conv"} >= {
        "features.0.0",
        "features.4.0",
    }
    for part in (b".py", b"site-packages", str(Path.cwd()).encode(), str(artifact.folder).encode(), b"torch"):
        assert part not in text


def test_onnx_runtime_reads_unsigned_activations_and_tensorrt_signed(artifacts: Artifacts) -> None:
    kinds = {}
    for target in ("host", "jetson"):
        proto = onnx.load(artifacts.of("residual", target)[1].model_path)
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
        quantizers = [node for node in proto.graph.node if node.op_type == "QuantizeLinear"]
        kinds[target] = {str(constants[node.input[2]].dtype) for node in quantizers}
    assert kinds == {"host": {"uint8"}, "jetson": {"int8"}}


def test_every_convolution_and_add_of_mobilenetv2_runs_on_integers(tmp_path: Path) -> None:
    model = quantized(lambda: build(Source(name="mobilenetv2", num_classes=10)), "host")
    artifact = exported(model, "host", tmp_path)
    images, expected = artifact.parity()
    found = run(artifact.model_path, images, optimized=tmp_path / "optimized.onnx")
    assert sqnr_db(expected, found) > 30
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert (operators["QLinearConv"], operators["QLinearAdd"], operators["QGemm"]) == (52, 10, 1)
    assert operators["QLinearGlobalAveragePool"] == 1
    assert operators["Conv"] + operators["FusedConv"] + operators["Add"] + operators["Gemm"] == 0
    weights = sum(values.size for values in weights_in(artifact).values())
    assert artifact.size_bytes < 1.1 * weights


def test_channel_shuffles_stay_integers(artifacts: Artifacts, tmp_path: Path) -> None:
    _, artifact = artifacts.of("shuffled", "host")
    run(artifact.model_path, pictures(1), optimized=tmp_path / "optimized.onnx")
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert (operators["QLinearConv"], operators["QLinearConcat"], operators["Conv"]) == (8, 2, 0)
    assert operators["QuantizeLinear"] <= 2  # the input, and the mean, which has no integer kernel
    assert operators["DequantizeLinear"] <= 2


def test_a_float_model_is_exported_as_it_is(tmp_path: Path) -> None:
    model = model_of(Residual)
    artifact = exported(model, "host", tmp_path)
    images, expected = artifact.parity()
    assert sqnr_db(expected, run(artifact.model_path, images)) > 90
    assert integer_counts(artifact) == Counts(integer=0, weighted=12)
    assert artifact.manifest.precision == "fp32"
    assert weights_in(artifact)["features.1.conv.1.0"].dtype == np.float32


def test_tensorrt_gets_an_fp16_rival_and_the_script(artifacts: Artifacts) -> None:
    model, artifact = artifacts.of("residual", "jetson")
    rival = artifact.folder / "model-fp16.onnx"
    images, _ = artifact.parity()
    onnx.checker.check_model(str(rival), full_check=True)
    import torch

    with torch.no_grad():
        expected = model.module(torch.from_numpy(images)).numpy()
    found = run(rival, images)
    assert found.dtype == np.float32
    assert 45 < sqnr_db(expected, found) < 90
    assert artifact.manifest.companions == ("model-fp16.onnx", "build_engine.sh")
    assert artifact.size_bytes == artifact.model_path.stat().st_size


def test_a_file_that_breaks_tensorrt_s_rules_is_not_shipped(artifacts: Artifacts, tmp_path: Path) -> None:
    model, _ = artifacts.of("residual", "host")
    with pytest.raises(EdgekitError, match=r"breaks the rules of TensorRT's .*not signed INT8"):
        exported(model, "jetson", tmp_path)


@pytest.mark.parametrize("target", ["host", "jetson"])
def test_another_process_in_another_folder_writes_the_same_bytes(
    artifacts: Artifacts, target: str, elsewhere: Path
) -> None:
    _, artifact = artifacts.of("residual", target)
    for path in sorted(artifact.folder.iterdir()):
        assert path.read_bytes() == (elsewhere / target / path.name).read_bytes(), path.name


def test_the_first_layer_that_departs_from_pytorch_is_named(artifacts: Artifacts, tmp_path: Path) -> None:
    model, artifact = artifacts.of("residual", "host")
    layers = tensor_parity(model, artifact, pictures(2))
    assert model.quantization is not None
    assert len(layers) > 0.8 * len(model.quantization.activations)
    assert first_departed(layers) is None
    proto = onnx.load(artifact.model_path)
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name == "features.2.conv.1.0.weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[::-1].copy(), weight.name))
    onnx.save(proto, tmp_path / "model.onnx")
    broken = artifact.manifest.at(tmp_path)
    # The third block's depthwise convolution: what PyTorch calls its sixth activation.
    found = first_departed(tensor_parity(model, broken, pictures(2)))
    assert found is not None
    assert found.node == "hardtanh_4"


def test_without_onnx_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(module: str, *, extra: str) -> None:
        raise MissingError(f"{module} is not installed", hint=f"pip install 'edgekit[{extra}]'")

    monkeypatch.setattr(optional, "load", missing)
    with pytest.raises(MissingError, match="onnx is not installed") as error:
        exported(model_of(Residual), "host", tmp_path)
    assert error.value.hint == "pip install 'edgekit[onnx]'"


class Means(nn.Module):
    """Over height and width, kept and dropped; over the last two axes where these are no picture's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = x.mean((2, 3), keepdim=True) + x.mean((-1, -2), keepdim=True)
        tokens = (x * gate).flatten(2)
        return x.mean((2, 3)) + tokens.mean((-1, -2))[:, None] + x.mean((1, 2)).mean(1, keepdim=True)


def test_only_means_over_height_and_width_become_global_pooling() -> None:
    network = Means()
    images = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    proto = to_onnx(torch.export.export(network, (images,)).module(), tuple(images.shape), 19)
    operators = Counter(node.op_type for node in proto.graph.node)
    assert operators["GlobalAveragePool"] == 3
    assert operators["ReduceMean"] == 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": images.numpy()})
    assert np.allclose(found, network(images).numpy(), atol=1e-5)
