from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgekit.errors import InputError
from edgekit.graph.cost import cost
from edgekit.model import Source
from edgekit.zoo import build
from edgekit.zoo.layers import make_divisible
from edgekit.zoo.mobilenetv2 import InvertedResidual
from edgekit.zoo.registry import About, network, networks


def mobilenetv2(num_classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> nn.Module:
    return build(Source(name="mobilenetv2", num_classes=num_classes, width=width, in_channels=in_channels))


def params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def params_by_hand(width: float, num_classes: int = 1000, in_channels: int = 3) -> int:
    """The paper's table 2 added up: convolutions without bias, two parameters a channel of each norm."""

    def rounded(channels: float) -> int:
        nearest = max(8, math.floor(channels / 8 + 0.5) * 8)
        return nearest + 8 if nearest < 0.9 * channels else nearest

    last = rounded(1280 * max(1, width))
    channels = rounded(32 * width)
    total = 9 * in_channels * channels + 2 * channels
    for t, c, n in [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)]:
        for _ in range(n):
            hidden, outputs = t * channels, rounded(c * width)
            total += (channels * hidden + 2 * hidden) * (t > 1)
            total += 9 * hidden + 2 * hidden + hidden * outputs + 2 * outputs
            channels = outputs
    return total + channels * last + 2 * last + last * num_classes + num_classes


def test_mobilenetv2_has_the_published_counts() -> None:
    counted = cost(mobilenetv2().eval(), (1, 3, 224, 224))
    assert (counted.params, counted.macs) == (3_504_872, 300_774_272)


@pytest.mark.parametrize(
    ("width", "published"), [(1.0, 3_504_872), (1.4, 6_108_776), (0.5, 1_968_680), (0.75, None), (0.35, None)]
)
def test_mobilenetv2_widths_have_the_parameters_of_the_table(width: float, published: int | None) -> None:
    counted = params(mobilenetv2(width=width))
    assert counted == params_by_hand(width)
    assert published in (None, counted)


@settings(max_examples=8, deadline=None)
@given(st.floats(0.05, 1.6), st.integers(1, 30), st.sampled_from([1, 3]))
def test_any_width_matches_the_table(width: float, classes: int, channels: int) -> None:
    assert params(mobilenetv2(classes, width, channels)) == params_by_hand(width, classes, channels)


@given(st.floats(0.01, 1e5))
def test_make_divisible_loses_at_most_a_tenth(value: float) -> None:
    rounded = make_divisible(value)
    assert rounded % 8 == 0
    assert rounded >= max(8, 0.9 * value)
    assert rounded <= max(8, value + 8)


def test_mobilenetv2_has_torchvisions_keys() -> None:
    keys = list(mobilenetv2(width=0.1).state_dict())
    assert keys[0] == "features.0.0.weight"
    assert keys[-2:] == ["classifier.1.weight", "classifier.1.bias"]
    assert {
        "features.1.conv.0.0.weight",
        "features.1.conv.1.weight",
        "features.1.conv.2.running_var",
        "features.2.conv.0.1.bias",
        "features.2.conv.1.0.weight",
        "features.2.conv.2.weight",
        "features.17.conv.3.num_batches_tracked",
        "features.18.0.weight",
    } <= set(keys)
    assert len(keys) == 314


def test_mobilenetv2_starts_as_torchvision_does() -> None:
    torch.manual_seed(0)
    network = mobilenetv2()
    state = network.state_dict()
    pointwise = state["features.17.conv.0.0.weight"]  # fan-out 960
    assert float(pointwise.std()) == pytest.approx(math.sqrt(2 / 960), rel=0.02)
    assert float(state["classifier.1.weight"].std()) == pytest.approx(0.01, rel=0.02)
    assert not state["classifier.1.bias"].any()
    assert all(
        (layer.weight == 1).all() and not layer.bias.any()
        for layer in network.modules()
        if isinstance(layer, nn.BatchNorm2d)
    )
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.2]


def test_the_same_seed_builds_the_same_network() -> None:
    def stem(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return mobilenetv2(10, 0.1).get_parameter("features.0.0.weight")

    assert torch.equal(stem(1), stem(1))
    assert not torch.equal(stem(1), stem(2))


@pytest.mark.parametrize("size", [(33, 65), (64, 64)])
def test_forward_takes_any_size_and_grey_pictures(size: tuple[int, int]) -> None:
    assert mobilenetv2(7, 0.1, 1).eval()(torch.zeros(2, 1, *size)).shape == (2, 7)


def test_a_residual_is_added_where_the_shape_stays() -> None:
    blocks = [layer for layer in mobilenetv2().modules() if isinstance(layer, InvertedResidual)]
    skips = "".join("-+"[block.skip] for block in blocks)
    assert skips == "-" + "-+" + "-++" + "-+++" + "-++" + "-++" + "-"


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan, math.inf, 224.0])
def test_impossible_widths_are_refused(width: float) -> None:
    with pytest.raises(InputError, match="width"):
        mobilenetv2(10, width)


@pytest.mark.parametrize(("classes", "channels"), [(0, 3), (-1, 3), (10, 0)])
def test_impossible_sizes_are_refused(classes: int, channels: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        mobilenetv2(classes, 1.0, channels)


def test_an_unknown_network_is_told_with_its_neighbours() -> None:
    with pytest.raises(InputError, match="did you mean mobilenetv2") as caught:
        build(Source(name="mobilnet-v2", num_classes=10))
    assert caught.value.exit_code == 2


def test_a_name_is_registered_once_and_a_fixed_family_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(networks())
    monkeypatch.setattr("edgekit.zoo.registry._NETWORKS", known)
    monkeypatch.setattr("edgekit.zoo.registry.networks", lambda: known)
    about = About(family="Tiny")

    def tiny(*, num_classes: int, in_channels: int, width: float) -> nn.Module:
        return nn.Conv2d(in_channels, num_classes, 1)

    network("tiny", about)(tiny)
    with pytest.raises(ValueError, match="tiny"):
        network("tiny", about)(tiny)
    assert isinstance(build(Source(name="tiny", num_classes=2)), nn.Conv2d)
    with pytest.raises(InputError, match="no width multiplier"):
        build(Source(name="tiny", num_classes=2, width=0.5))


def test_the_catalogue_needs_no_torch() -> None:
    code = (
        "import sys; from edgekit.zoo import catalogue; assert catalogue(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
