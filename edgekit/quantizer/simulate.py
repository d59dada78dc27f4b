"""A folded graph run node by node: in float, or rounded as integers would round it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.quantizer.graphs import operand
from edgekit.quantizer.placement import Placement, origin
from edgekit.quantizer.weights import has_bias, on_grid, scales_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgekit.model import ActivationScale

    Grids = Mapping[str, ActivationScale]
    Values = Mapping[str, Tensor]

aten = torch.ops.aten

_VIEWS = (aten.view.default, aten._unsafe_view.default)
_AT_ONCE = 48 * 3 * 64 * 64
"""Values of pictures that are computed at once: what operators pass on should stay in the processor's cache."""
_SILENT = 1e-3
"""Of the usual signal."""
_LEAST = 1e-20
"""Of noise: 200 dB, as good as the same."""


class Walk(fx.Interpreter):
    """The graph in float, `step` by `step` where two walks go side by side.

    `values` stand in for weights and biases of the graph that have these names.
    """

    def __init__(self, graph: fx.GraphModule, values: Values | None = None) -> None:
        super().__init__(graph)
        self.values = values or {}

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A weight, a bias or a constant."""
        stand_in = self.values.get(target)
        return super().get_attr(target, args, kwargs) if stand_in is None else stand_in

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """An operator; channel-last values cannot always be viewed."""
        return super().call_function(aten.reshape.default if target in _VIEWS else target, args, kwargs)

    def begin(self, images: Tensor) -> None:
        """Go back to the start, with these pictures (n, C, H, W)."""
        self.env: dict[fx.Node, Any] = {}
        self.args_iter: Iterator[Any] = iter(self.graph.process_inputs(_channel_last(images)))

    def step(self, node: fx.Node) -> Any:
        """The node's value; to be asked for in the graph's order."""
        self.env[node] = self.run_node(node)
        return self.env[node]

    def leave(self, node: fx.Node) -> None:
        """Forget the values that nobody behind this node reads."""
        for last in self.user_to_last_uses.get(node, ()):
            del self.env[last]

    def tensor(self, node: fx.Node) -> Tensor:
        """What a `get_attr` node reads."""
        value = self.get_attr(node.target, (), {})
        assert isinstance(value, Tensor)
        return value.detach()


class Rounded(Walk):
    """Activations on their grids where they are computed, weights on theirs: what `quantized_graph` computes.

    Grids are by the names of the placement's leaders and of those that share their scales.
    """

    def __init__(
        self, graph: fx.GraphModule, placement: Placement, grids: Grids, values: Values | None = None
    ) -> None:
        super().__init__(graph, values)
        self.grids = {node: grids[node.name] for node in placement.leaders if origin(node) is node}
        self.scales = {node: self._scales(node, axis, grids) for node, axis in placement.channel_axes.items()}
        self.weights = {node: self._rounded(node, axis) for node, axis in placement.channel_axes.items()}

    def _scales(self, operator: fx.Node, axis: int, grids: Grids) -> Tensor:
        bias = self.tensor(operand(operator, 2)) if has_bias(operator) else None
        return scales_of(operator, axis, self.tensor(operand(operator, 1)), bias, grids)

    def _rounded(self, operator: fx.Node, axis: int) -> Tensor:
        return on_grid(self.tensor(operand(operator, 1)), self.scales[operator], axis)

    def run_node(self, n: fx.Node) -> Any:
        """The operator on rounded weights, its result rounded."""
        return self.settled(n, self.computed(n))

    def computed(self, node: fx.Node) -> Any:
        """The operator on rounded weights."""
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        if (weight := self.weights.get(node)) is not None:
            args = (args[0], weight, *args[2:])
        return getattr(self, node.op)(node.target, args, kwargs)

    def settled(self, node: fx.Node, value: Any) -> Any:
        """The operator's result on its grid, if it has one."""
        return value if (grid := self.grids.get(node)) is None else rounded(value, grid)


def rounded(values: Tensor, grid: ActivationScale) -> Tensor:
    """The nearest values that the grid has."""
    scale, zero = float(np.float32(grid.scale)), grid.zero_point
    steps = values.mul(float(1 / np.float32(grid.scale))).round_()  # first, as files do: it decides ties
    return steps.clamp_(-128 - zero, 127 - zero).mul_(scale)


def batches(images: Tensor) -> tuple[Tensor, ...]:
    """As many pictures (n, C, H, W) at a time as are computed at once."""
    return torch.split(_channel_last(images), max(1, _AT_ONCE // images[0].numel()))


def _channel_last(images: Tensor) -> Tensor:
    """The same values: convolutions on a CPU take half the time where channels lie side by side."""
    return images.contiguous(memory_format=torch.channels_last)


def outputs_of(walk: fx.Interpreter, images: Tensor) -> Tensor:
    """The network's output, the first one of several, for any number of pictures (n, C, H, W)."""
    found = (walk.run(batch) for batch in batches(images))
    return torch.cat([each if isinstance(each, Tensor) else each[0] for each in found])


def noise(wanted: Tensor, found: Tensor) -> Tensor:
    """Of each sample the squared error relative to its signal, (n,); none where nothing has any.

    What a sample with next to no signal gets wrong is relative to what others have: it would speak for all.
    """
    places = tuple(range(1, wanted.dim()))
    signal = wanted.square().sum(places)
    usual = signal.mean()
    errors = (found - wanted).square().sum(places)
    return errors / signal.clamp_min(_SILENT * usual) if usual > 0 else errors[:0]


def decibels(wanted: Tensor, found: Tensor) -> float:
    """How near outputs are: signal to noise, the noise averaged over samples relative to each one's signal.

    One that a range clips speaks up, as it would not in an average of decibels; one with large outputs does not speak
    for all.
    """
    relative = noise(wanted, found)
    return float(-10 * relative.mean().clamp_min(_LEAST).log10()) if len(relative) else 0.0
