"""What each channel contributes to the layers that read it, seen while the traced network runs on pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.labels import Use
from edgekit.graph.macs import TRANSPOSED
from edgekit.graph.rewrite import copied
from edgekit.graph.trace import arguments, operator_name, shape_of

POSITIONS: Final = 64
"""Places looked at in each picture, at most: neighbours tell little more."""


@dataclass(frozen=True, eq=False)
class Consumer:
    """A convolution or linear layer and the channels that it reads, in the blocks that its groups make."""

    classes: Tensor
    """(blocks, channels), int64."""
    products: list[Tensor]
    """For each block (channels, channels), float64: the scalar products of what the channels contribute."""


def watch(module: nn.Module, channels: ChannelGraph, images: Tensor) -> list[Consumer]:
    """Run the network on pictures (n, C, H, W), as many at once as its graph takes; a rest is left out."""
    graph = copied(channels.graph, module)
    inputs = {
        node.name: use for node, uses in channels.walk.uses.items() for use in uses if use.role == "input"
    }
    watcher = _Watcher(graph, inputs)
    size = shape_of(next(iter(channels.graph.graph.find_nodes(op="placeholder"))))[0]
    with torch.no_grad():
        for start in range(0, len(images) - size + 1, size):
            watcher.run(images[start : start + size])
    return [
        Consumer(
            channels.classes_of(inputs[name].tokens).reshape(len(grams), -1),
            [_contributed(gram, weight) for gram, weight in zip(grams, watcher.weights[name], strict=True)],
        )
        for name, grams in watcher.grams.items()
    ]


class _Watcher(fx.Interpreter):
    """Gathers, for each layer that reads channels, what its kernel's places see of them together."""

    def __init__(self, graph: fx.GraphModule, inputs: dict[str, Use]) -> None:
        super().__init__(graph)
        self._inputs = inputs
        self._draw = torch.Generator().manual_seed(0)
        self.grams: dict[str, list[Tensor]] = {}
        """Node → for each block (channels · taps, channels · taps), float64."""
        self.weights: dict[str, Tensor] = {}
        """Node → (blocks, outputs, channels, taps)."""

    def run_node(self, n: fx.Node) -> Any:
        """The node's result; its input is looked at on the way."""
        if n.name in self._inputs:
            call = dict(fx.map_arg(arguments(n), self.env.__getitem__))
            patches, weight = _patches(operator_name(n), call, self._draw)
            found = [(block.T @ block).double() for block in patches]
            before = self.grams.get(n.name)
            self.weights[n.name] = weight.detach()
            self.grams[n.name] = (
                found if before is None else [one + two for one, two in zip(before, found, strict=True)]
            )
        return super().run_node(n)


def _contributed(gram: Tensor, weight: Tensor) -> Tensor:
    """(channels, channels) from (channels · taps)² and a block's weight (outputs, channels, taps)."""
    outputs, count, taps = weight.shape
    flat = weight.reshape(outputs, count * taps).double()
    both = gram * (flat.T @ flat)
    return both.reshape(count, taps, count, taps).sum((1, 3))


def _patches(operator: str, call: dict[str, Any], draw: torch.Generator) -> tuple[list[Tensor], Tensor]:
    """What each block's kernel sees (places, channels · taps), and its weight (outputs, channels, taps), stacked."""
    value, weight = call["input"], call["weight"]
    if operator == "linear":
        return [_some(value.reshape(-1, value.shape[-1]), draw)], weight[None, :, :, None]
    groups, kernel = call["groups"], weight.shape[2:]
    if operator in TRANSPOSED:
        value, weight = _stretched(value, call, kernel), _turned(weight, groups)
        stride = [1] * len(kernel)
    else:
        value, stride = F.pad(value, _around(call, kernel)), call["stride"]
    seen = _windows(value, kernel, stride, call["dilation"], draw)
    blocks = seen.reshape(len(seen), groups, -1).unbind(1)
    return list(blocks), weight.reshape(groups, -1, weight.shape[1], math.prod(kernel))


def _windows(
    value: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    draw: torch.Generator,
) -> Tensor:
    """(places, C, taps) of a padded (N, C, …): what a kernel sees at some of its places."""
    seen = value
    for axis, (taps, step, apart) in enumerate(zip(kernel, stride, dilation, strict=True), start=2):
        seen = seen.unfold(axis, apart * (taps - 1) + 1, step)[..., ::apart]
    places = [torch.arange(size) for size in (len(seen), *seen.shape[2 : 2 + len(kernel)])]
    every = torch.cartesian_prod(*places) if len(places) > 1 else places[0][:, None]
    chosen = _some(every, draw, len(value)).unbind(1)
    index: tuple[Tensor | slice, ...] = (chosen[0], slice(None), *chosen[1:])
    return seen[index].flatten(2)


def _some(rows: Tensor, draw: torch.Generator, pictures: int = 1) -> Tensor:
    most = POSITIONS * pictures
    return rows if len(rows) <= most else rows[torch.randperm(len(rows), generator=draw)[:most]]


def _around(call: dict[str, Any], kernel: Sequence[int]) -> list[int]:
    """A convolution's padding as `F.pad` wants it: the last axis first."""
    padding = call["padding"]
    if isinstance(padding, str):  # `same` puts an odd one behind
        whole = [(taps - 1) * apart for taps, apart in zip(kernel, call["dilation"], strict=True)]
        pairs = [(size // 2, size - size // 2) if padding == "same" else (0, 0) for size in whole]
    else:
        pairs = [(size, size) for size in padding]
    return [size for pair in reversed(pairs) for size in pair]


def _stretched(value: Tensor, call: dict[str, Any], kernel: Sequence[int]) -> Tensor:
    """The input of a transposed convolution with zeros between, as the plain convolution that it is reads it."""
    sizes = [(size - 1) * stride + 1 for size, stride in zip(value.shape[2:], call["stride"], strict=True)]
    wide = value.new_zeros((*value.shape[:2], *sizes))
    wide[(slice(None), slice(None), *(slice(None, None, stride) for stride in call["stride"]))] = value
    around = []
    for place in reversed(range(len(kernel))):
        edge = call["dilation"][place] * (kernel[place] - 1) - call["padding"][place]
        around += [edge, edge + call["output_padding"][place]]
    return F.pad(wide, around)


def _turned(weight: Tensor, groups: int) -> Tensor:
    """(C, C' / groups, …) of a transposed convolution → (C', C / groups, …) of the plain one."""
    inputs, outputs = weight.shape[:2]
    blocks = weight.reshape(groups, inputs // groups, outputs, *weight.shape[2:]).transpose(1, 2)
    return blocks.flip(tuple(range(3, blocks.dim()))).flatten(0, 1)
