"""LiteRT files: PyTorch's integers and scales in them, PyTorch's numbers out of them, always the same bytes.

Also a script, `python test_litert_export.py FOLDER`: exports the gated network there (another process must
give the same bytes, and must not print).
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from edgekit.errors import EdgekitError, InputError, MissingError
from edgekit.exporters import Counts, Written
from edgekit.exporters.layer_parity import first_departed
from edgekit.exporters.litert import count, export, weights
from edgekit.exporters.litert_counts import LitertCounts, litert_counts
from edgekit.exporters.litert_divergence import tensor_parity
from edgekit.exporters.litert_graph import pack, read_graph, unpack
from edgekit.exporters.litert_names import node_of
from edgekit.exporters.litert_rules import breaches
from edgekit.exporters.litert_run import verify_loads
from edgekit.exporters.litert_weights import integer_weights, settle_weights
from edgekit.files import sha256
from edgekit.model import Model, Preprocessing, Source
from edgekit.parity import sqnr_db
from edgekit.quantizer.calibrate import calibrate
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.reference import quantized_graph, rounded_float_graph
from edgekit.runtimes.litert_cpu import Session
from edgekit.target import load_target
from edgekit.zoo import build

if TYPE_CHECKING:
    from edgekit.exporters.litert_graph import Array

TARGET = load_target("raspberry-pi-5")
SIDE = 64


def layer(inputs: int, outputs: int, *, size: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Gated(nn.Module):
    """Squeeze-and-excitation, hard swish, a residual, flattened convolutions: MobileNetV3's operators."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = layer(3, 16, size=3, stride=4), layer(16, 16, size=3, groups=16)
        self.squeeze, self.excite = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1)
        self.project, self.grouped = layer(16, 24), layer(24, 24, size=3, groups=4)
        self.hidden, self.classifier = nn.Linear(24 * 4 * 4, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.depthwise(F.hardswish(self.stem(x))))
        gate = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1))))
        x = self.project(x * F.hardsigmoid(gate))
        x = x + F.hardswish(self.grouped(x))
        x = F.avg_pool2d(x, 4).flatten(1)
        logits: Tensor = self.classifier(F.hardswish(self.hidden(x)))
        return logits


class Shuffled(nn.Module):
    """Padded max pool, split, concatenation, channel shuffle, a mean: ShuffleNet's operators."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.expand = layer(3, 16, size=3, stride=2), layer(8, 8)
        self.depthwise, self.project = layer(8, 8, size=3, groups=8), layer(8, 8)
        self.last, self.classifier = layer(16, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)
        kept, worked = x.chunk(2, dim=1)
        worked = F.relu(self.project(self.depthwise(F.relu(self.expand(worked)))))
        x = torch.cat([kept, worked], dim=1)
        n, channels, height, width = x.shape
        x = x.view(n, 2, channels // 2, height, width).transpose(1, 2).reshape(n, channels, height, width)
        logits: Tensor = self.classifier(F.relu(self.last(x)).mean([2, 3]))
        return logits


class Enlarged(nn.Module):
    """A rectifier behind a bilinear resize: a decoder's operators."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = layer(3, 8, size=3, stride=2), layer(8, 4, size=3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(self.down(x), scale_factor=2, mode="bilinear", align_corners=False)
        picture: Tensor = self.up(F.relu(x))
        return picture


class Rectified(nn.Module):
    """A rectifier of what a rectifier gave, as tokens: there is nothing left to cut."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.classifier = layer(3, 8, size=3, stride=2), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = F.relu(self.down(x)).flatten(2).transpose(1, 2)
        logits: Tensor = self.classifier(F.relu(tokens).mean(1))
        return logits


class Normed(nn.Module):
    """A layer norm between integer layers: PyTorch computes it in float, so must the file."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.last = layer(3, 8, size=3, stride=4), nn.LayerNorm(8), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x)).permute(0, 2, 3, 1)
        picture: Tensor = self.last(self.norm(x).permute(0, 3, 1, 2))
        return picture


@dataclass(frozen=True)
class Exported:
    """A quantized model, its file, and the pictures that it is tried on."""

    model: Model
    path: Path
    written: Written

    @property
    def images(self) -> Array:
        return pictures(4, seed=1)

    @property
    def counts(self) -> LitertCounts:
        return litert_counts(self.path)

    def session(self) -> Session:
        """The file in its runtime, with its delegate."""
        return Session(str(self.path), 2, {"layout": "NHWC", "output_layout": "NHWC"})

    def outputs(self) -> Array:
        """What the runtime gives for the pictures, one after the other."""
        session = self.session()
        return np.concatenate([session.run(image[None]) for image in self.images])

    @cached_property
    def graph(self) -> fx.GraphModule:
        """PyTorch's quantized graph, or the float one of a float model."""
        return folded_graph(self.model) if self.model.quantization is None else quantized_graph(self.model)

    def reference(self) -> Array:
        """What it gives for the pictures."""
        with torch.no_grad():
            return np.concatenate(
                [self.graph(torch.from_numpy(image[None])).numpy() for image in self.images]
            )


def pictures(number: int, *, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((number, 3, SIDE, SIDE), dtype=np.float32)


def model_of(module: nn.Module, *, quantized: bool = True) -> Model:
    """A model with random weights and batch-norm statistics, calibrated on random pictures."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low in ((part.running_var, 0.5), (part.weight, 0.5), (part.running_mean, -0.3)):
                assert isinstance(tensor, Tensor)
                tensor.data = torch.rand(part.num_features, generator=generator) + low
            part.bias.data = torch.randn(part.num_features, generator=generator) * 0.3
    model = Model(
        name="small", module=module.eval(), input_shape=(1, 3, SIDE, SIDE), task="classification",
        preprocessing=Preprocessing(height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3),
        labels=tuple("0123456789"), source=Source(name="small", num_classes=10),
    )  # fmt: skip
    return (
        replace(model, quantization=calibrate(model, TARGET.int8, [pictures(4, seed=0)]))
        if quantized
        else model
    )


def gated() -> Model:
    """With channels that training left dead: no weight, but a bias that the layers after it see."""
    torch.manual_seed(0)
    network = Gated()
    depthwise = network.depthwise[1]
    assert isinstance(depthwise, nn.BatchNorm2d)
    model = model_of(network, quantized=False)
    with torch.no_grad():
        depthwise.weight[:3] = 0
        depthwise.weight[3] = 1e-12
        depthwise.bias[:4] = 0.7
    return replace(model, quantization=calibrate(model, TARGET.int8, [pictures(4, seed=0)]))


def exported(model: Model, folder: Path) -> Exported:
    written = export(model, TARGET, folder)
    return Exported(model, folder / written.model_file, written)


@pytest.fixture(scope="session")
def gated_int8(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(gated(), tmp_path_factory.mktemp("gated"))


@pytest.fixture(scope="session")
def shuffled_int8(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    return exported(model_of(Shuffled()), tmp_path_factory.mktemp("shuffled"))


@pytest.fixture(scope="session")
def mobilenet_int8(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    network = build(Source(name="mobilenetv2", num_classes=10))
    return exported(model_of(network), tmp_path_factory.mktemp("mobilenet"))


@pytest.fixture(params=["mobilenet", "gated", "shuffled"])
def int8(request: pytest.FixtureRequest) -> Exported:
    found = request.getfixturevalue(f"{request.param}_int8")
    assert isinstance(found, Exported)
    return found


def test_every_tensor_between_input_and_output_is_an_integer(int8: Exported) -> None:
    assert int8.counts.float_tensors == ()
    assert int8.counts.float_operators == 0
    assert int8.counts.quantize == int8.counts.dequantize == 1


def test_weights_are_the_reference_integers_bit_for_bit(int8: Exported) -> None:
    reference = dict(int8.graph.named_buffers())
    expected = {name.removesuffix(".weight"): value.numpy() for name, value in reference.items()
                if value.dtype == torch.int8 and name.endswith(".weight")}  # fmt: skip
    stored = weights(int8.path)
    assert stored.keys() == expected.keys()
    assert [name for name in stored if not np.array_equal(stored[name], expected[name])] == []


def test_scales_are_the_recorded_ones(int8: Exported) -> None:
    assert int8.model.quantization is not None
    recorded = int8.model.quantization.activations
    found = {
        node_of(tensor.name): (tensor.scales, tensor.zero_points)
        for tensor in read_graph(int8.path.read_bytes()).activations
        if tensor.dtype == "INT8" and node_of(tensor.name) in recorded
    }
    assert recorded.keys() - found.keys() <= {"conv2d_3"}  # a hard sigmoid's, clipped where it is computed
    assert found == {name: ((recorded[name].scale,), (recorded[name].zero_point,)) for name in found}


def test_runtime_gives_the_numbers_of_the_reference(int8: Exported) -> None:
    assert sqnr_db(int8.reference(), int8.outputs()) >= 30


def test_every_layer_is_near_the_reference(int8: Exported) -> None:
    layers = tensor_parity(int8.model, int8.path, int8.images[:2])
    assert len(layers) >= int8.counts.integer_operators
    assert min(layer.sqnr_db for layer in layers) >= 30


def test_mobilenet_is_one_partition_without_transposes(mobilenet_int8: Exported) -> None:
    executed = mobilenet_int8.session().executed()
    details = executed["details"]
    assert isinstance(details, dict)
    assert details["partitions"] == "1"
    assert details["not_delegated"] == ""
    assert mobilenet_int8.counts.transposes == 0
    assert count(mobilenet_int8.path) == Counts(integer=53, weighted=53)


def test_shuffle_is_one_partition_in_spite_of_a_padded_pool(shuffled_int8: Exported) -> None:
    details = shuffled_int8.session().executed()["details"]
    assert isinstance(details, dict)
    assert details["partitions"] == "1"
    assert "PADV2" not in shuffled_int8.counts.operators
    assert shuffled_int8.counts.transposes == 3  # one shuffle's; none before the mean


def test_hard_swish_is_of_the_one_partition_in_parts(gated_int8: Exported) -> None:
    details = gated_int8.session().executed()["details"]
    assert isinstance(details, dict)
    assert details["not_delegated"] == "AVERAGE_POOL_2D ×1"


def test_a_rectifier_that_nothing_computes_along_is_of_the_one_partition(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shipped = exported(model_of(Enlarged()), tmp_path)
    details = shipped.session().executed()["details"]
    assert isinstance(details, dict)
    assert (details["partitions"], details["not_delegated"]) == ("1", "")
    assert shipped.counts.operators["QUANTIZE"] == 2  # the input's, and the rectifier
    assert sqnr_db(shipped.reference(), shipped.outputs()) >= 30


def test_a_rectifier_that_has_nothing_left_to_cut_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shipped = exported(model_of(Rectified()), tmp_path)
    assert shipped.counts.operators["RELU"] == 1
    assert breaches(shipped.path, TARGET.file_rules) == []
    assert sqnr_db(shipped.reference(), shipped.outputs()) >= 30


def test_hard_swish_stays_whole_where_the_target_has_it(gated_int8: Exported, tmp_path: Path) -> None:
    target = TARGET.model_copy(update={"operators": ("HARD_SWISH",), "other_operators": "the processor"})
    written = export(gated_int8.model, target, tmp_path)
    shipped = Exported(gated_int8.model, tmp_path / written.model_file, written)
    assert shipped.counts.operators["HARD_SWISH"] == 3
    assert sqnr_db(shipped.outputs(), gated_int8.outputs()) >= 30


def test_manifest_says_layouts_and_what_is_integer(gated_int8: Exported) -> None:
    written = gated_int8.written
    assert [(spec.shape, spec.dtype, spec.layout) for spec in written.inputs] == [
        ((1, 64, 64, 3), "float32", "NHWC")
    ]
    assert [(spec.shape, spec.dtype, spec.layout) for spec in written.outputs] == [((1, 10), "float32", "NC")]
    assert written.files == ("model.tflite",)
    assert "8 of 8 convolutions and linear layers are INT8" in written.notes


def test_float_file_gives_pytorchs_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shipped = exported(model_of(Shuffled(), quantized=False), tmp_path)
    assert np.abs(shipped.outputs() - shipped.reference()).max() <= 1e-4
    assert shipped.counts.integer_operators == 0
    assert shipped.counts.float_operators == 6
    layers = tensor_parity(shipped.model, shipped.path, shipped.images)
    assert min(layer.sqnr_db for layer in layers) >= 80


def test_layer_norm_stays_float_and_the_layers_around_it_integers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shipped = exported(model_of(Normed()), tmp_path)
    assert shipped.counts.float_operators == 0
    assert "RSQRT" in next(note for note in shipped.written.notes if note.startswith("computed in float"))
    assert [(spec.shape, spec.layout) for spec in shipped.written.outputs] == [((1, 16, 16, 4), "NHWC")]
    assert sqnr_db(shipped.reference(), shipped.outputs()) >= 30


def test_another_process_and_folder_give_the_same_bytes_in_silence(
    gated_int8: Exported, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    done = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert sha256(folder / "model.tflite") == sha256(gated_int8.path)


def test_file_holds_no_path(mobilenet_int8: Exported) -> None:
    content = mobilenet_int8.path.read_bytes()
    assert not [word for word in (b"/site-packages", b"litert_torch", b".py", b"/tmp") if word in content]


def test_the_first_departure_names_the_layer_that_was_changed(gated_int8: Exported, tmp_path: Path) -> None:
    file = unpack(gated_int8.path.read_bytes())
    names = [tensor.name for tensor in file.subgraphs[0].tensors]
    bias = file.subgraphs[0].tensors[names.index(b"conv2d_4.bias")]
    file.buffers[bias.buffer].data = np.roll(file.buffers[bias.buffer].data, 4)
    changed = tmp_path / "changed.tflite"
    changed.write_bytes(pack(file))
    model, images = gated_int8.model, gated_int8.images
    assert first_departed(tensor_parity(model, gated_int8.path, images)) is None
    found = first_departed(tensor_parity(model, changed, images))
    assert found is not None
    assert found.node == "conv2d_4"
    assert abs(found.file - found.reference) > 0.1
    assert "conv2d_4: " in str(found)


def test_weights_that_are_not_the_references_are_refused_by_layer(gated_int8: Exported) -> None:
    quantization = gated_int8.model.quantization
    assert quantization is not None
    layers = integer_weights(rounded_float_graph(gated_int8.model), quantization)
    wrong = [replace(each, integers=-each.integers) if each.name == "project.0" else each for each in layers]
    content = gated_int8.path.read_bytes()
    with pytest.raises(
        EdgekitError, match=r"missing project\.0 \(\d+ of 384 differ\); not PyTorch's conv2d_4"
    ):
        settle_weights(content, content, wrong)


def test_operator_without_lowering_is_the_users_to_change(tmp_path: Path) -> None:
    class Inverse(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            inverse: Tensor = torch.linalg.inv(x)
            return inverse

    with pytest.raises(InputError, match="litert-torch cannot convert the network"):
        export(model_of(Inverse(), quantized=False), TARGET, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_converter_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingError, match=r"pip install 'edgekit\[litert\]'"):
        export(model_of(Shuffled(), quantized=False), TARGET, tmp_path)


@pytest.mark.parametrize("content", [b"PK\3\4nothing", b"\x1c\0\0\0TFL3\0"], ids=["zip", "cut off"])
def test_what_is_no_model_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.tflite is not a"):
        litert_counts(path)


def test_counting_needs_no_torch(gated_int8: Exported) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from edgekit.exporters.litert_counts import litert_counts\n"
        "print(litert_counts(Path(sys.argv[1])).integer_operators, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(gated_int8.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "8 False\n"


if __name__ == "__main__":
    export(gated(), TARGET, Path(sys.argv[1]))


@pytest.mark.parametrize("content", [b"", b"not a model, whatever its name"])
def test_what_litert_cannot_open_is_refused_in_a_child(content: bytes) -> None:
    with pytest.raises(InputError, match=r"LiteRT (refuses|crashed on) the file"):
        verify_loads(content)


def test_a_crash_of_litert_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -SEGV $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))
    with pytest.raises(InputError, match=r"LiteRT crashed on the file \(signal 11\)"):
        verify_loads(b"")
