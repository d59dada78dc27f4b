"""INT8 files in which some operators stay float: they compute what the network does, and no more is integer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from exporting import answers, exported, quantized
from small_networks import Gated, Residual, Shuffled, Twice

from edgekit.exporters import integer_counts, tensor_parity
from edgekit.exporters.litert_counts import litert_counts
from edgekit.exporters.rules import breaches
from edgekit.parity import sqnr_db
from edgekit.quantizer.mixed import integer_layers, with_floats
from edgekit.target import load_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn


@pytest.mark.parametrize("target", ["host", "intel-cpu", "android", "jetson"])
@pytest.mark.parametrize("network", [Residual, Shuffled, Gated])
def test_mixed_files_compute_what_the_mixed_network_does(
    network: Callable[[], nn.Module], target: str, tmp_path: Path
) -> None:
    whole = quantized(network, target)
    layers = list(integer_layers(whole))
    floats = [name for name in layers[1::3] if "transpose" not in name]  # an IR loses that one's name
    mixed = with_floats(whole, floats)
    artifact = exported(mixed, target, tmp_path)
    images, expected = artifact.parity()
    assert sqnr_db(expected, answers(artifact, load_target(target).proxy_runtime, images)) >= 30
    counts = integer_counts(artifact)
    assert counts.integer == len(layers) - len(floats)
    assert counts.weighted == len(layers)


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
