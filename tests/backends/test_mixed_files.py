"""INT8 files in which some operators stay float: they compute what the network does, and no more is integer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from exporting import answers, exported, quantized
from small_networks import Gated, Residual, Shuffled, Twice
from torch import nn

from edgekit.errors import InputError
from edgekit.exporters import integer_counts, tensor_parity
from edgekit.exporters.litert_counts import litert_counts
from edgekit.exporters.litert_graph import pack, read_graph, unpack
from edgekit.exporters.litert_layers import layer_of
from edgekit.exporters.rules import breaches
from edgekit.parity import sqnr_db
from edgekit.pipeline.exporting import export
from edgekit.quantizer.mixed import integer_layers, with_floats
from edgekit.target import load_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("target", ["host", "intel-cpu", "android", "jetson"])
@pytest.mark.parametrize("network", [Residual, Shuffled, Gated])
def test_mixed_files_compute_what_the_mixed_network_does(
    network: Callable[[], nn.Module], target: str, tmp_path: Path
) -> None:
    whole = quantized(network, target)
    layers = list(integer_layers(whole))
    floats = [
        name for name in layers[1::3] if target != "intel-cpu" or "transpose" not in name
    ]  # an IR loses its name
    mixed = with_floats(whole, floats)
    artifact = exported(mixed, target, tmp_path)
    images, expected = artifact.parity()
    assert sqnr_db(expected, answers(artifact, load_target(target).proxy_runtime, images)) >= 30
    counts = integer_counts(artifact)
    assert counts.integer == len(layers) - len(floats)
    assert counts.weighted == len(layers)


class Resized(nn.Module):
    """A decoder's step: resized between the convolution and its rectifier, beside a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.final = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map (N, 4, H, W)."""
        skip = F.relu(self.stem(x))
        raised = F.relu(F.interpolate(self.deep(skip), scale_factor=2.0, mode="bilinear"))
        result: torch.Tensor = self.final(raised + skip)
        return result


@pytest.mark.parametrize(("network", "count"), [(Gated, 7), (Resized, 3)])
def test_each_operator_of_a_tflite_can_be_float_alone(
    network: Callable[[], nn.Module], count: int, tmp_path: Path
) -> None:
    whole = quantized(network, "android")
    layers = list(integer_layers(whole))
    assert len(layers) == count
    for place, name in enumerate(layers):
        artifact = exported(with_floats(whole, [name]), "android", tmp_path / str(place))
        images, expected = artifact.parity()
        assert sqnr_db(expected, answers(artifact, "litert", images)) >= 35, name
        assert litert_counts(artifact.model_path).float_operators == 1


@pytest.mark.parametrize("target", ["host", "intel-cpu", "android", "jetson"])
def test_a_layer_in_two_places_goes_back_in_both(target: str, tmp_path: Path) -> None:
    whole = quantized(Twice, target)
    mixed = with_floats(whole, [list(integer_layers(whole))[1]])
    artifact = exported(mixed, target, tmp_path)
    images, expected = artifact.parity()
    assert sqnr_db(expected, answers(artifact, load_target(target).proxy_runtime, images)) >= 30
    assert (integer_counts(artifact).integer, integer_counts(artifact).weighted) == (2, 4)


def test_a_tflite_with_islands_converts_at_their_borders_alone_and_tells_its_tensors(tmp_path: Path) -> None:
    whole = quantized(Residual, "android")
    layers = list(integer_layers(whole))
    mixed = with_floats(whole, layers[2:4])  # two in a row: one island
    artifact = exported(mixed, "android", tmp_path)
    counts = litert_counts(artifact.model_path)
    assert (counts.quantize, counts.dequantize) == (2, 2)
    assert counts.float_operators == 2
    assert all(tensor.sqnr_db >= 30 for tensor in tensor_parity(mixed, artifact, artifact.parity()[0][:2]))


def test_a_layer_in_float_is_against_the_rules_unless_it_was_meant_to_be(tmp_path: Path) -> None:
    whole = quantized(Residual, "android")
    operator, layer = list(integer_layers(whole).items())[2]
    artifact = exported(with_floats(whole, [operator]), "android", tmp_path)
    meant = artifact.manifest.int8_rules
    assert meant is not None
    assert meant.float_layers == (layer,)
    assert breaches(artifact.model_path, meant) == []
    found = breaches(artifact.model_path, meant.model_copy(update={"float_layers": ()}))
    assert len(found) == 2  # its tensors, and its weight
    assert all(line.startswith("DEPTHWISE_CONV_2D ") for line in found)


def test_layers_with_equal_weights_are_not_told_apart(tmp_path: Path) -> None:
    """Which operator of the file is meant cannot be known: the candidate is refused, and the network named."""

    class Equal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
            for layer in (self.first, self.second):  # which rounding leaves as they are
                nn.init.constant_(layer.weight, 0.125)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.second(self.first(self.stem(x)))
            return result

    whole = quantized(Equal, "android")
    mixed = with_floats(whole, [list(integer_layers(whole))[1]])
    with pytest.raises(InputError, match=r"^first\.weight cannot stay float: 2 operators of the \.tflite"):
        exported(mixed, "android", tmp_path)


def test_a_run_with_operators_in_float_does_not_go_to_a_unit_for_integers(tmp_path: Path) -> None:
    whole = quantized(Residual, "android")
    mixed = with_floats(whole, list(integer_layers(whole))[:1])
    with pytest.raises(InputError, match="some operators in float, and coral integers alone") as refused:
        export(lambda: mixed, target="coral", out=tmp_path / "artifact")
    assert refused.value.hint == "edgekit compress test --target coral"
    assert not (tmp_path / "artifact").exists()
    assert export(lambda: whole, target="coral", out=tmp_path / "artifact").manifest.precision == "int8"


def test_an_integer_weight_in_a_layer_meant_to_be_float_is_a_breach(tmp_path: Path) -> None:
    artifact = exported(quantized(Residual, "android"), "android", tmp_path)
    rules = artifact.manifest.int8_rules
    assert rules is not None
    model = unpack(artifact.model_path.read_bytes())
    operator = next(
        each for each in read_graph(artifact.model_path.read_bytes()).operators if "CONV" in each.kind
    )
    model.subgraphs[0].tensors[operator.inputs[1]].quantization.zeroPoint = [3] * 16
    (tmp_path / "broken.tflite").write_bytes(pack(model))
    layer = layer_of(read_graph(artifact.model_path.read_bytes()), operator)
    (found,) = breaches(tmp_path / "broken.tflite", rules.model_copy(update={"float_layers": (layer,)}))
    assert found.endswith("its weight's zero point is 3, not 0")
