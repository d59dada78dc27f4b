"""The roofline of a network on a target (Williams, Waterman and Patterson, CACM 2009): an estimate from peak rates.

Never a measurement, and no bound: each layer takes its operations over the peak rate or its memory access over the
bandwidth, whichever is longer, and layers are summed unfused, as if every tensor came from memory and went back there.
A runtime that fuses layers, or a cache that holds their tensors, can be faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.graph.cost import Cost
from edgekit.graph.layer import Layer
from edgekit.target import Target

Bound = Literal["compute", "memory", "unknown"]
OPERATIONS = 2
"""Of one multiply-accumulate, as data sheets count."""


@dataclass(frozen=True)
class LayerFloor:
    """The roofline's time of one layer, in milliseconds; None where the target's file has no figure for it."""

    name: str
    precision: str
    compute_ms: float | None
    memory_ms: float | None
    bound: Bound
    """`unknown` where only one of both is known."""

    @property
    def floor_ms(self) -> float:
        """The larger of those that are known."""
        return max(self.compute_ms or 0.0, self.memory_ms or 0.0)


@dataclass(frozen=True)
class Roofline:
    """The roofline's time of a network, one layer after the other."""

    target: str
    precision: str
    """That of the layers with weights; `mixed` where they differ."""
    floor_ms: float
    compute_ms: float | None
    memory_ms: float | None
    bound: Bound
    """What the larger part of the floor is bound by."""
    layers: tuple[LayerFloor, ...]
    source: Literal["estimate"] = "estimate"


def roofline(cost: Cost, target: Target) -> Roofline | None:
    """The floor of a counted network; None where the target's file gives neither a rate nor a bandwidth for it."""
    floors = tuple(_floor(layer, target) for layer in cost.layers)
    compute, memory = _total([f.compute_ms for f in floors]), _total([f.memory_ms for f in floors])
    if compute is None and memory is None:
        return None
    precisions = {layer.precision for layer in cost.layers if layer.weights}
    shares = {kind: sum(f.floor_ms for f in floors if f.bound == kind) for kind in ("compute", "memory")}
    unknown = compute is None or memory is None
    return Roofline(
        target=target.id,
        precision=precisions.pop() if len(precisions) == 1 else "mixed",
        floor_ms=sum(floor.floor_ms for floor in floors),
        compute_ms=compute,
        memory_ms=memory,
        bound="unknown" if unknown else "compute" if shares["compute"] > shares["memory"] else "memory",
        layers=floors,
    )


def _floor(layer: Layer, target: Target) -> LayerFloor:
    rate, bandwidth = target.operations_per_second(layer.precision), target.bandwidth_gb_s
    compute = None if rate is None and layer.macs else 1e3 * OPERATIONS * layer.macs / (rate or 1)
    memory = None if bandwidth is None else layer.memory_access_bytes / (bandwidth * 1e6)
    if compute is None or memory is None:
        bound: Bound = "unknown"
    else:
        bound = "compute" if compute > memory else "memory"
    return LayerFloor(layer.name, layer.precision, compute, memory, bound)


def _total(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
