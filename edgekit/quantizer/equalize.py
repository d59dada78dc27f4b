"""Cross-layer equalization: channels of like range, without changing what the network computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgekit.quantizer.graphs import operand, packet
from edgekit.quantizer.placement import activation_name
from edgekit.quantizer.simulate import Walk
from edgekit.quantizer.weights import along, has_bias

if TYPE_CHECKING:
    from torch import Tensor, fx

    from edgekit.quantizer.scales import Calibration

aten = torch.ops.aten

_ROUNDS = 10
_FURTHEST = 1e4
"""No channel is scaled by more: float32 would be left."""
_READERS = (aten.conv1d, aten.conv2d, aten.conv3d, aten.linear)
_EACH_CHANNEL_ALONE = (
    # f(s·x) = s·f(x) for s > 0, a channel at a time.
    *(aten.relu, aten.leaky_relu, aten.prelu, aten.clone, aten.contiguous),
    *(aten.max_pool2d, aten.avg_pool2d, aten.adaptive_avg_pool2d, aten.upsample_nearest2d),
)


@dataclass(frozen=True)
class Pair:
    """A weighted operator, and those that are all that reads it, behind what scales along with its argument."""

    first: fx.Node
    axis: int
    readers: tuple[fx.Node, ...]


def pairs_of(calibration: Calibration) -> list[Pair]:
    """Where equalization changes nothing but the ranges; weights that are used twice stay out of it."""
    found = []
    for node, axis in calibration.placement.channel_axes.items():
        readers = _readers(node)
        parameters = [part for each in (node, *readers) for part in _parameters(each)]
        if readers and all(map(calibration.owns, parameters)):
            found.append(Pair(node, axis, tuple(readers)))
    return found


def equalized(graph: fx.GraphModule, pairs: list[Pair]) -> dict[str, Tensor]:
    """Weights and biases by name (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization").

    A channel's range in the first operator's weight and its range in the weights that read it become their geometric
    mean: the first is divided by what the others are multiplied by. Rounds go on where operators are in two pairs.
    """
    walk = Walk(graph)
    values: dict[str, Tensor] = {}
    walk.values = values
    for _ in range(_ROUNDS if len(pairs) > 1 else 1):
        for pair in pairs:
            _equalize(walk, values, pair)
    return values


def _equalize(walk: Walk, values: dict[str, Tensor], pair: Pair) -> None:
    first = walk.tensor(operand(pair.first, 1))
    written = first.abs().amax([each for each in range(first.dim()) if each != pair.axis])
    reads = [_read_range(walk.tensor(operand(node, 1)), len(written)) for node in pair.readers]
    read = torch.stack(reads).amax(0)
    scale = (written / read).sqrt()  # so that written / scale = read · scale
    usable = (written > 0) & (read > 0) & (scale < _FURTHEST) & (scale > 1 / _FURTHEST)
    scale = torch.where(usable, scale, 1.0)
    values[_weight(pair.first)] = first / along(scale, pair.axis, first.dim())
    if has_bias(pair.first):
        values[str(operand(pair.first, 2).target)] = walk.tensor(operand(pair.first, 2)) / scale
    for node in pair.readers:
        values[_weight(node)] = _times_inputs(walk.tensor(operand(node, 1)), scale)


def _read_range(weight: Tensor, channels: int) -> Tensor:
    """The largest |w| that reads each input channel, (channels,)."""
    return _by_inputs(weight, channels).abs().flatten(3).amax((1, 3)).reshape(channels)


def _times_inputs(weight: Tensor, scale: Tensor) -> Tensor:
    by_inputs = _by_inputs(weight, len(scale))
    shape = (by_inputs.shape[0], 1, by_inputs.shape[2], *[1] * (by_inputs.dim() - 3))
    return (by_inputs * scale.view(shape)).view_as(weight)


def _by_inputs(weight: Tensor, channels: int) -> Tensor:
    """(groups, outputs of a group, inputs of a group, …), also of a linear layer."""
    groups = channels // weight.shape[1]
    shaped = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    return shaped if weight.dim() > 2 else shaped.unsqueeze(-1)


def _weight(operator: fx.Node) -> str:
    return str(operand(operator, 1).target)


def _parameters(operator: fx.Node) -> list[fx.Node]:
    return [operand(operator, 1), *([operand(operator, 2)] if has_bias(operator) else [])]


def _readers(node: fx.Node) -> list[fx.Node]:
    """The weighted operators that alone read it, or none."""
    found: list[fx.Node] = []
    for user in node.users:
        if packet(user) in _READERS and user.args[0] is node:
            found.append(user)
        elif _keeps_channels(user) and (behind := _readers(user)):
            found += behind
        else:
            return []
    return found


def _keeps_channels(node: fx.Node) -> bool:
    if packet(node) in _EACH_CHANNEL_ALONE or activation_name(node) == "relu" or _pads(node):
        return True
    before, after = (
        (each.meta["val"].shape for each in (operand(node, 0), node)) if _has_shape(node) else ((), ())
    )
    if packet(node) is aten.mean:
        return len(before) == 4 and sorted(d % 4 for d in node.args[1]) == [2, 3]  # type: ignore[union-attr,operator]
    if packet(node) in (aten.view, aten.reshape, aten.flatten):  # one value a channel: (N, C, 1, 1) → (N, C)
        return len(before) == 4 and tuple(before[2:]) == (1, 1) and len(after) == 2
    return False


def _has_shape(node: fx.Node) -> bool:
    return (
        node.op == "call_function"
        and bool(node.args)
        and all(hasattr(getattr(each, "meta", {}).get("val"), "shape") for each in (node.args[0], node))
    )


def _pads(node: fx.Node) -> bool:
    return packet(node) is aten.pad and node.args[2:3] in ((), ("constant",)) and not any(node.args[3:4])
