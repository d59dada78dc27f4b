"""What can be budgeted, each counted exactly while channels leave a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from torch import nn

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.macs_counter import MacsCounter
from edgekit.graph.memory_counters import MemoryAccessCounter, PeakMemoryCounter
from edgekit.graph.weight_counters import ParamsCounter, StoredCounter
from edgekit.recipe import Resource
from edgekit.units import human_bytes, human_count


class Counter(Protocol):
    """One figure of a network that shrinks; made for the whole network, then told what leaves."""

    def remove(self, names: Iterable[int]) -> object:
        """These classes are gone."""
        ...

    def lowered_by(self, names: Iterable[int]) -> bool:
        """Whether the figure falls when these classes go, or comes nearer to falling."""
        ...

    def __call__(self) -> int:
        """The figure of what is left."""
        ...


def counter_of(resource: Resource, channels: ChannelGraph, module: nn.Module) -> Counter:
    """A counter for a whole network whose channels are known; batch and input size are those of its graph."""
    return _COUNTERS[resource](channels, module)


def _macs(channels: ChannelGraph, _: nn.Module) -> Counter:
    return MacsCounter(channels)


def _peak_memory(channels: ChannelGraph, _: nn.Module) -> Counter:
    return PeakMemoryCounter(channels)


def human(resource: Resource, figure: int) -> str:
    """A figure as people read it: `12.6 M`, `1.20 MB`."""
    return (human_count if resource in ("macs", "params") else human_bytes)(figure)


def said(resource: Resource, figure: int) -> str:
    """A figure with what it counts: `12.6 M MACs`, `1.20 MB of activations at once`."""
    return f"{human(resource, figure)} {WORDS[resource]}"


WORDS: Mapping[Resource, str] = {
    "macs": "MACs",
    "params": "parameters",
    "memory_access": "of memory access",
    "peak_memory": "of activations at once",
    "size": "of weights",
}
"""What is counted."""
_COUNTERS: Mapping[Resource, Callable[[ChannelGraph, nn.Module], Counter]] = {
    "macs": _macs,
    "params": ParamsCounter,
    "memory_access": MemoryAccessCounter,
    "peak_memory": _peak_memory,
    "size": StoredCounter,
}
