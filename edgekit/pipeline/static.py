"""What a network or a file costs before anything runs: counts, floors on a target, advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.exporters import file_graph
from edgekit.graph.advice import Advice, advise
from edgekit.graph.cost import Cost, cost_of_graph
from edgekit.graph.file_cost import cost_of_file
from edgekit.graph.layer import PRECISIONS
from edgekit.graph.roofline import Roofline, roofline
from edgekit.graph.trace import trace
from edgekit.model import Model
from edgekit.target import Target


@dataclass(frozen=True)
class Static:
    """The static side of a profile."""

    cost: Cost
    rooflines: tuple[Roofline, ...]
    """The least time on the target: of a network in each precision that the target has a rate for; none without."""

    def advice(self, target: Target | None, times_ns: Mapping[str, int] | None = None) -> tuple[Advice, ...]:
        """The rules that it breaks; with a layer's measured time by its name, what the breaks cost."""
        multiple = target.channel_multiple if target else 1
        return advise(self.cost, channel_multiple=multiple, times_ns=times_ns)


def static_of_network(network: Model, target: Target | None) -> Static:
    """Counted on the exported graph, in float; its floors in every precision that the target computes in."""
    graph = trace(network.module, network.input_shape)
    by_precision = {
        name: cost_of_graph(
            graph, network.module, network.input_shape, weight_bytes=width, activation_bytes=width
        )
        for width, name in PRECISIONS.items()
        if name == "fp32" or (target and name in target.precisions)
    }
    found = [roofline(spent, target) for spent in by_precision.values()] if target else []
    return Static(by_precision["fp32"], tuple(floor for floor in found if floor))


def static_of_file(path: Path, target: Target | None) -> Static:
    """Counted on an ONNX, OpenVINO IR or .tflite file, at the precisions that it holds.

    Raises `MissingError` without the package that reads it, `InputError` where it cannot be read or counted.
    """
    spent = cost_of_file(file_graph(path))
    found = roofline(spent, target) if target else None
    return Static(spent, (found,) if found else ())
