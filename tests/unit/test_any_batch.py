"""Networks whose forward holds its widths: pruned as a graph that takes any number of pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from forms_tokens import HardCoded
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.any_batch import for_any_batch
from edgekit.graph.budget import choose
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.importance import importance
from edgekit.graph.surgery import TOLERANCE, masked_difference, remove_channels
from edgekit.graph.trace import trace
from edgekit.zoo.program import built, exported

SHAPE = (1, 3, 16, 16)


class Windows(nn.Module):
    """Attention in windows of 4×4, folded into the batch: widths and heads are numbers, the batch is not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.qkv, self.out, self.head = nn.Linear(16, 48), nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        pictures = x.shape[0]
        x = self.stem(x).view(pictures, 16, 4, 4, 4, 4).permute(0, 2, 4, 3, 5, 1)
        tokens = x.reshape(pictures * 16, 16, 16)
        q, k, v = self.qkv(tokens).view(pictures * 16, 16, 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
        seen = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, 16, 16)
        y: Tensor = self.head((tokens + self.out(seen)).reshape(pictures, 256, 16).mean(1))
        return y


def half_of(module: nn.Module, shape: tuple[int, ...]) -> tuple[ChannelGraph, Tensor]:
    channels = channel_graph(trace(module, shape))
    params = sum(value.numel() for value in module.parameters())
    scores = importance(module, channels)
    return channels, choose(channels, module, scores, {"params": params // 2}, multiple=1).removed


def test_the_graph_takes_any_number_of_pictures() -> None:
    torch.manual_seed(0)
    module = Windows().eval()
    channels, removed = half_of(module, SHAPE)
    single = remove_channels(module, channels, removed)
    assert single.rewritten
    graph = built(exported(for_any_batch(module, channels, removed), SHAPE))
    assert masked_difference(module, graph, channels, removed) <= TOLERANCE
    pictures = torch.randn(5, *SHAPE[1:])
    with torch.no_grad():
        expected = torch.cat([single.module(picture[None]) for picture in pictures])
        assert torch.allclose(graph(pictures), expected, rtol=1e-4, atol=1e-5)


def test_its_file_is_the_same_each_time_and_tells_no_paths() -> None:
    torch.manual_seed(0)
    module = Windows().eval()
    channels, removed = half_of(module, SHAPE)
    first, again = (exported(for_any_batch(module, channels, removed), SHAPE) for _ in range(2))
    assert first == again
    assert str(Path(__file__).parent).encode() not in first


class Mixing(nn.Module):
    """A network whose answer for a picture depends on how many there are, in a way that one and two do not tell."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.stem, self.head = how, nn.Conv2d(3, 16, 4, 4), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        pictures = x.shape[0]
        y: Tensor = self.head(self.stem(x).view(pictures, 16, 16).mean(2))
        if self.how == "constant":
            return y / torch.tensor(float(pictures))
        if self.how == "half":
            return y / ((pictures + 1) // 2)
        spread = y.view(min(pictures, 4), -1, 5).std(0, unbiased=False)
        return y + spread.mean()


@pytest.mark.parametrize("how", ["constant", "half", "spread"])
def test_pictures_that_change_each_other_s_answers_are_refused(how: str) -> None:
    torch.manual_seed(0)
    module = Mixing(how).eval()
    channels, removed = half_of(module, SHAPE)
    with pytest.raises(InputError, match="gives a picture something else among others than alone"):
        for_any_batch(module, channels, removed)


class Two(nn.Module):
    """A network with two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.other = nn.Conv2d(3, 16, 4, 4), nn.Linear(16, 5), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.stem(x).view(x.shape[0], 16, 16).mean(2)
        return self.one(y), self.other(y)


def test_two_outputs_are_refused() -> None:
    module = Two().eval()
    channels, removed = half_of(module, SHAPE)
    with pytest.raises(InputError, match="Two gives more than one tensor"):
        for_any_batch(module, channels, removed)


def test_it_is_pruned_once_more() -> None:
    torch.manual_seed(0)
    module: nn.Module = Windows().eval()
    for _ in range(2):
        channels, removed = half_of(module, SHAPE)
        smaller = built(exported(for_any_batch(module, channels, removed), SHAPE))
        assert masked_difference(module, smaller, channels, removed) <= TOLERANCE
        module = smaller
    assert sum(value.numel() for value in module.parameters()) < 0.3 * sum(
        value.numel() for value in Windows().parameters()
    )


def test_a_forward_for_one_picture_is_refused_with_its_sizes() -> None:
    module = HardCoded().eval()
    channels, removed = half_of(module, SHAPE)
    with pytest.raises(InputError, match="HardCoded does not take 8 pictures") as refused:
        for_any_batch(module, channels, removed)
    assert "[1, 16, 16]" in str(refused.value)
