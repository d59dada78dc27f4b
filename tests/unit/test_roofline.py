"""Floors on a target, by hand."""

from __future__ import annotations

import pytest
from torch import nn

from edgekit.graph.cost import Cost, cost
from edgekit.graph.roofline import roofline
from edgekit.target import Target, load_target

MACS, MOVED = 16 * 64 * 100, (16 + 64) * 100 + 16 * 64


def pointwise(width: int) -> Cost:
    """16 → 64 channels over 10×10 pixels, at a width of 1 or 4 bytes."""
    layer = nn.Conv2d(16, 64, 1, bias=False)
    return cost(layer, (1, 16, 10, 10), weight_bytes=width, activation_bytes=width)


def machine(**rates: float | None) -> Target:
    none = dict.fromkeys(("bandwidth_gb_s", "int8_dense_tops", "fp16_dense_tflops", "fp32_tflops"))
    return load_target("host").model_copy(update=none | rates)


def test_compute_and_memory_by_hand() -> None:
    found = roofline(pointwise(4), machine(bandwidth_gb_s=1.0, fp32_tflops=0.001))
    assert found is not None
    assert found.compute_ms == pytest.approx(2 * MACS / 1e9 * 1e3)
    assert found.memory_ms == pytest.approx(4 * MOVED / 1e9 * 1e3)
    assert (found.bound, found.precision, found.source) == ("compute", "fp32", "estimate")
    assert found.floor_ms == found.compute_ms == found.layers[0].floor_ms


def test_integers_take_the_integer_rate_and_a_quarter_of_the_bytes() -> None:
    found = roofline(pointwise(1), machine(bandwidth_gb_s=1.0, int8_dense_tops=1.0, fp32_tflops=1e-6))
    assert found is not None
    assert found.memory_ms == pytest.approx(MOVED / 1e6)
    assert found.compute_ms == pytest.approx(2 * MACS / 1e9)
    assert (found.bound, found.precision) == ("memory", "int8")


def test_what_is_not_known_is_not_made_up() -> None:
    assert roofline(pointwise(4), machine()) is None
    alone = roofline(pointwise(4), machine(bandwidth_gb_s=1.0, int8_dense_tops=1.0))
    assert alone is not None
    assert (alone.bound, alone.compute_ms) == ("unknown", None)
    assert alone.floor_ms == alone.memory_ms


def test_each_layer_is_bound_by_itself() -> None:
    network = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.MaxPool2d(2))
    found = roofline(cost(network, (1, 16, 32, 32)), machine(bandwidth_gb_s=1.0, fp32_tflops=0.001))
    assert found is not None
    assert [layer.bound for layer in found.layers] == ["compute", "memory"]
    assert found.floor_ms == pytest.approx(sum(layer.floor_ms for layer in found.layers))
    assert found.compute_ms is not None
    assert found.floor_ms > found.compute_ms
