"""INT8 files in which some operators stay float: they compute what the network does, and no more is integer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from exporting import answers, exported, quantized
from small_networks import Gated, Residual, Shuffled

from edgekit.exporters import integer_counts
from edgekit.parity import sqnr_db
from edgekit.quantizer.mixed import integer_layers, with_floats
from edgekit.target import load_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn


@pytest.mark.parametrize("target", ["host", "intel-cpu"])
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
    assert sqnr_db(expected, answers(artifact, load_target(target).runtime, images)) >= 30
    counts = integer_counts(artifact)
    assert counts.integer == len(layers) - len(floats)
    assert counts.weighted == len(layers)
