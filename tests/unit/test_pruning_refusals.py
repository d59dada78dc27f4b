"""What cannot be pruned is refused with the reason, and nothing is changed."""

from __future__ import annotations

import pytest
import torch
from forms import SHAPE, form
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace


def analysed(name: str) -> tuple[nn.Module, ChannelGraph]:
    module = form(name)
    return module, channel_graph(trace(module, SHAPE))


def refused(module: nn.Module, channels: ChannelGraph, removed: Tensor, words: str) -> bool:
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(InputError, match=words):
        remove_channels(module, channels, removed)
    return all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_a_layer_is_never_emptied() -> None:
    module, channels = analysed("resnet")
    assert refused(
        module, channels, channels.groups[0].classes, r"no channel of stem\.0\.weight would be left"
    )


def test_outputs_stay() -> None:
    module, channels = analysed("resnet")
    outputs = channels.producers()["head.weight"]
    assert refused(module, channels, outputs[:1], r"channels of head\.weight must stay: network output")


def test_a_number_that_is_no_class() -> None:
    module, channels = analysed("resnet")
    assert refused(module, channels, torch.tensor([10**6]), "1000000 names no class of channels")


def test_groups_of_a_convolution_stay_equal() -> None:
    module, channels = analysed("resnext")
    first = channels.producers()["stages.0.branch.0.0.weight"][:1]
    assert refused(module, channels, first, "cannot go together: .* cannot cut 7 channels into 4 groups")


def test_a_survivor_of_a_shuffle_keeps_its_half() -> None:
    module, channels = analysed("shufflenetv2")
    left = channels.producers()["left.2.0.weight"][:6]
    right = channels.producers()["right.3.0.weight"][:6]
    assert refused(module, channels, torch.cat((left, right)), "cannot go together")


def test_weights_that_are_not_finite() -> None:
    module, channels = analysed("vgg")
    module.get_parameter("classifier.0.weight").data[0, 0] = float("inf")
    assert refused(
        module, channels, channels.groups[0].classes[:1], r"classifier\.0\.weight holds NaN or infinite"
    )


def test_control_flow_on_values_cannot_be_traced() -> None:
    class Choosy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.mean() > 0 else -x

    with pytest.raises(InputError, match="Choosy cannot be exported at input"):
        trace(Choosy(), SHAPE)


def test_a_tensor_that_is_not_float_all_the_way_is_still_proven() -> None:
    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(torch.relu(self.stem(x)).to(torch.float32)) + torch.ones(1)
            return y

    module = Cast()
    channels = channel_graph(trace(module, SHAPE))
    pruned = remove_channels(module, channels, channels.groups[0].classes[:3])
    assert pruned.difference <= 1e-12
