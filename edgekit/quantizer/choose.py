"""Which grid each activation gets: the one that its readers' results suffer least from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from edgekit.quantizer.placement import moves_values, origin, tail_of
from edgekit.quantizer.simulate import Walk, batches, noise, rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.model import ActivationScale
    from edgekit.quantizer.scales import Calibration
    from edgekit.quantizer.simulate import Values

    Options = Mapping[fx.Node, Mapping[str, ActivationScale]]


def nearest_at_readers(
    calibration: Calibration, options: Options, images: Tensor, values: Values | None
) -> dict[fx.Node, str]:
    """For each leader the name of the option that brings what its readers compute nearest to float.

    One activation at a time is rounded, all else is float; the noise in a reader's result is relative to that of the
    sample, behind the activation function that the runtime computes along: what a ReLU cuts off counts for nothing.
    """
    readers = _Readers(calibration, options, values)
    for batch in batches(images):
        readers.run(batch)
    return {leader: min(found, key=found.__getitem__) for leader, found in readers.errors.items()}


class _Readers(Walk):
    """Runs in float, and tries every option where an operator reads the activation."""

    def __init__(self, calibration: Calibration, options: Options, values: Values | None) -> None:
        super().__init__(calibration.graph, values)
        self.placement, self.rules, self.options = calibration.placement, calibration.rules, options
        self.errors = {leader: dict.fromkeys(grids, 0.0) for leader, grids in options.items()}

    def run_node(self, n: fx.Node) -> Any:
        """The node's value; what it would be on each grid is compared on the way."""
        value = super().run_node(n)
        if n.op == "output" or (isinstance(value, Tensor) and not moves_values(n)):
            for place, argument in enumerate(n.all_input_nodes if n.op == "output" else n.args):
                leader = (
                    self.placement.leaders.get(origin(argument)) if isinstance(argument, fx.Node) else None
                )
                if leader is not None:
                    self.compare(n, place, value, leader)
        return value

    def compare(self, reader: fx.Node, place: int, value: Tensor, leader: fx.Node) -> None:
        args, kwargs = self.fetch_args_kwargs_from_env(reader)
        if reader.op == "output":
            args = tuple(self.env[node] for node in reader.all_input_nodes)
            value = args[place]
        wanted = self.behind(reader, value)
        found: dict[ActivationScale, float] = {}
        for name, grid in self.options[leader].items():
            if grid not in found:
                changed = (*args[:place], rounded(args[place], grid), *args[place + 1 :])
                result = (
                    changed[place]
                    if reader.op == "output"
                    else getattr(self, reader.op)(reader.target, changed, kwargs)
                )
                found[grid] = float(noise(wanted, self.behind(reader, result)).sum())
            self.errors[leader][name] += found[grid]

    def behind(self, reader: fx.Node, value: Tensor) -> Tensor:
        """What comes out of the activation function that is computed along."""
        tail = tail_of(reader, self.rules)
        if tail is reader:
            return value
        args = torch.fx.node.map_arg(tail.args[1:], self.env.__getitem__)
        return getattr(self, tail.op)(tail.target, (value, *args), dict(tail.kwargs))  # type: ignore[no-any-return]
