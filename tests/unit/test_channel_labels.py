"""Labels find exactly the channels that move together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.surgery import masked_difference, remove_channels
from edgekit.graph.trace import trace
from edgekit.model import Source
from edgekit.zoo import build

SHAPE = (1, 3, 32, 32)


class Shuffle(nn.Module):
    """Chunk, one branch convolved, concat, channel shuffle, twice: ShuffleNet V2's movement."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.branches = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU()) for _ in range(2))
        self.head = nn.Conv2d(16, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for branch in self.branches:
            left, right = x.chunk(2, dim=1)
            x = torch.cat((left, branch(right)), dim=1)
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        y: Tensor = self.head(x).mean((2, 3))
        return y


class Gated(nn.Module):
    """Squeeze-and-excitation around a depthwise convolution, and a classifier that flattens space."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=4, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.depthwise = nn.Conv2d(12, 24, 3, groups=12, padding=1)
        self.squeeze = nn.Conv2d(24, 6, 1)
        self.excite = nn.Conv2d(6, 24, 1)
        self.head = nn.Linear(24 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(torch.relu(self.norm(self.stem(x))))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        y: Tensor = self.head(torch.flatten(nn.functional.avg_pool2d(x * gate, 4), 1))
        return y


class Grouped(nn.Module):
    """A grouped convolution that is not depthwise, and an operator that nobody taught us."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 3, groups=2, padding=1)
        self.middle = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(torch.cumsum(self.middle(self.grouped(self.stem(x))), dim=2)).mean((2, 3))
        return y


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Batch-norm statistics as a trained network has them: with 0 and 1 a missed buffer would go unseen.

    Variances are small, so that a signal is not lost on its way through untrained layers.
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.weight.data.uniform_(0.5, 1.5, generator=generator)
            layer.bias.data.normal_(0, 0.3, generator=generator)
            layer.running_mean.normal_(0, 0.1, generator=generator)
            layer.running_var.uniform_(0.05, 0.2, generator=generator)
    return module.eval()


def mobilenet() -> nn.Module:
    torch.manual_seed(0)
    return build(Source(name="mobilenetv2", num_classes=10))


def channels_of(module: nn.Module) -> ChannelGraph:
    return channel_graph(trace(module, SHAPE))


def half_of_each_group(channels: ChannelGraph, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    removed = []
    for group in channels.prunable:
        order = torch.randperm(len(group.classes), generator=generator)
        removed.append(group.classes[order[: len(order) // 2]])
    return torch.cat(removed)


def test_residual_layers_share_their_channels() -> None:
    widths = {
        frozenset(name for name, axis in group.axes if axis == 0 and "weight" in name): len(group.classes)
        for group in channels_of(mobilenet()).groups
    }
    stage = next(names for names in widths if "features.2.conv.2.weight" in names)
    assert widths[stage] == 24
    assert "features.3.conv.2.weight" in stage  # its output is added to the former's


def test_depthwise_output_is_its_input() -> None:
    group = next(
        group for group in channels_of(mobilenet()).groups if ("features.2.conv.0.0.weight", 0) in group.axes
    )
    assert {("features.2.conv.1.0.weight", 0), ("features.2.conv.2.weight", 1)} <= set(group.axes)


def test_the_output_is_frozen_and_nothing_else() -> None:
    frozen = [group for group in channels_of(mobilenet()).groups if group.frozen]
    assert [group.axes[0][0] for group in frozen] == ["classifier.1.weight"]
    assert frozen[0].frozen == "network output"


def test_a_shuffle_moves_labels_exactly() -> None:
    consumers = channels_of(Shuffle()).consumers()
    stem = channels_of(Shuffle()).producers()["stem.weight"]
    assert consumers["branches.0.0.weight"].tolist() == stem[8:].tolist()
    after_first = consumers["branches.1.0.weight"].tolist()  # the second half of (left, branch) interleaved
    assert after_first[::2] == stem[4:8].tolist()


def test_an_unknown_operator_freezes_what_it_touches() -> None:
    reasons = {group.axes[0][0]: group.frozen for group in channels_of(Grouped()).groups}
    assert reasons["middle.weight"] == "cumsum at cumsum is not understood"
    assert reasons["stem.weight"] == reasons["grouped.weight"] == ""


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("make", [mobilenet, Gated])
def test_masked_equals_pruned(make: type[nn.Module], seed: int) -> None:
    module = randomised(make(), seed)
    channels = channels_of(module)
    removed = half_of_each_group(channels, seed)
    pruned, difference, *_ = remove_channels(module, channels, removed)
    assert difference <= 1e-12
    assert sum(value.numel() for value in pruned.parameters()) < 0.6 * sum(
        value.numel() for value in module.parameters()
    )


def test_the_proof_notices_a_wrong_slice() -> None:
    module = randomised(mobilenet())
    channels = channels_of(module)
    removed = half_of_each_group(channels, 0)
    pruned, *_ = remove_channels(module, channels, removed)
    weight = pruned.get_parameter("features.5.conv.2.weight")
    weight.data = weight.data.flip(1)
    assert masked_difference(module, pruned, channels, removed) > 1e-3


def test_the_original_is_left_alone() -> None:
    module = randomised(mobilenet())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    channels = channels_of(module)
    remove_channels(module, channels, half_of_each_group(channels, 0))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
