"""The static cost of files: what is read back equals what the exported network counts, in every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from exporting import exported, quantized
from onnx import TensorProto, helper
from small_networks import Gated, Residual, Shuffled, model_of
from torch import nn

from edgekit.errors import InputError
from edgekit.exporters import file_graph
from edgekit.graph.cost import Cost, cost
from edgekit.graph.file_cost import cost_of_file
from edgekit.model import Model
from edgekit.pipeline.static import static_of_file
from edgekit.target import load_target

FORMATS = {"onnx": "host", "openvino": "intel-cpu", "tflite": "android"}
Counted = Callable[[type[nn.Module], str], Cost]


@pytest.fixture(scope="session")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """The cost of a float file, exported once."""
    folder = tmp_path_factory.mktemp("static")
    known: dict[str, Cost] = {}

    def count(network: type[nn.Module], format_name: str) -> Cost:
        name = f"{network.__name__}-{format_name}"
        if name not in known:
            artifact = exported(trained(network), FORMATS[format_name], folder / name)
            known[name] = cost_of_file(file_graph(artifact.model_path))
        return known[name]

    return count


def trained(network: type[nn.Module]) -> Model:
    """With biases that are not zero: exporters leave those out that are."""
    model = model_of(network)
    for name, parameter in model.module.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(parameter, 0.5, 1)
    return model


def folded_params(module: nn.Module) -> int:
    """Files have one bias in place of a batch norm's two parameters, beside or on top of a convolution's own."""
    params, before = sum(value.numel() for value in module.parameters()), None
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            own = isinstance(before, nn.Conv2d | nn.ConvTranspose2d) and before.bias is not None
            params -= part.num_features * (2 if own else 1)
        before = part
    return params


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("network", [Residual, Shuffled])
def test_a_file_counts_as_its_network(counted: Counted, network: type[nn.Module], format_name: str) -> None:
    model = trained(network)
    expected, found = cost(model.module, model.input_shape), counted(network, format_name)
    assert found.macs == expected.macs > 0
    assert found.params == folded_params(model.module)
    assert found.input_shape == expected.input_shape
    assert found.receptive_field == expected.receptive_field
    assert (found.depth, found.width) == (expected.depth, expected.width)
    weighted = [(layer.operator, layer.macs, layer.output_shape) for layer in found.layers if layer.macs]
    assert weighted == [
        (layer.operator, layer.macs, layer.output_shape) for layer in expected.layers if layer.macs
    ]


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_float_files_move_and_hold_what_the_network_does(counted: Counted, format_name: str) -> None:
    """But for the bias that each batch norm becomes."""
    model = trained(Residual)
    expected, found = cost(model.module, model.input_shape), counted(Residual, format_name)
    assert found.peak_activation_bytes == expected.peak_activation_bytes
    folded = [
        layer.weights.output_channels
        for layer in expected.layers
        if layer.weights and layer.operator != "linear"
    ]
    biases = 4 * sum(folded) if format_name == "onnx" else -4 * 10  # the IR adds them after, which fuses
    assert found.memory_access_bytes == expected.memory_access_bytes + biases


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_gates_and_transposed_convolutions(counted: Counted, format_name: str) -> None:
    model = trained(Gated)
    found = counted(Gated, format_name)
    assert found.macs == cost(model.module, model.input_shape).macs
    assert found.params == folded_params(model.module)


def test_integers_are_counted_as_they_are_stored(tmp_path: Path) -> None:
    model = quantized(Residual, "host")
    found = cost_of_file(file_graph(exported(model, "host", tmp_path / "int8").model_path))
    weighted = [layer for layer in found.layers if layer.weights]
    assert {layer.precision for layer in weighted} == {"int8"}
    names = {
        name.removesuffix(".weight") for name, _ in model.module.named_parameters() if name.endswith("weight")
    }
    assert {layer.name for layer in weighted} <= names
    first = weighted[0]
    weights, biases = 8 * 3 * 3 * 3, 8
    assert (first.read_bytes, first.weight_bytes) == (3 * 32 * 32, weights + 4 * biases)
    assert first.written_bytes == 8 * 16 * 16  # its activation and the Quantize behind it are computed in it


def small_onnx(path: Path, batch: int | str, height: int | str, kind: str = "Relu") -> Path:
    sizes = [batch, 3, height, 8]
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, sizes)
    graph = helper.make_graph([helper.make_node(kind, ["x"], ["y"], name="only")], "g", [picture], [result])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)]), path)
    return path


def test_an_open_batch_is_one(tmp_path: Path) -> None:
    found = static_of_file(small_onnx(tmp_path / "a.onnx", "batch", 8), load_target("jetson"))
    assert found.cost.input_shape == (1, 3, 8, 8)
    assert found.cost.elementwise_operations == 3 * 8 * 8


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.onnx", b"no model", "is not an ONNX file"),
        ("a.tflite", b"no model at all", "not a .tflite file"),
        ("a.xml", b"<net>", "cannot be read as OpenVINO IR"),
        ("a.bin", b"", "no model file that edgekit reads"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        file_graph(tmp_path / name)


def test_what_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="open along axis 2"):
        file_graph(small_onnx(tmp_path / "a.onnx", 1, "height"))
    with pytest.raises(InputError, match="does not exist"):
        file_graph(tmp_path / "none.onnx")
