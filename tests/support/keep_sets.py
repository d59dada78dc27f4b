"""Random channels to remove: any where nothing ties them, else as many of each kind as the network's cuts allow."""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.ladder import ladder


def random_removal(channels: ChannelGraph, seed: int) -> Tensor:
    """Classes to remove; at least one where anything can go."""
    generator = torch.Generator().manual_seed(seed)
    removed = [_of_component(channels, component, generator) for component in channels.components]
    return torch.cat(removed) if removed else torch.zeros(0, dtype=torch.int64)


def _of_component(channels: ChannelGraph, component: tuple[int, ...], generator: torch.Generator) -> Tensor:
    names = torch.cat([channels.groups[index].classes for index in component])
    if channels.is_free(component):
        return _all_but(max(1, _below(len(names), generator)), names, generator)
    rungs = list(ladder(channels, component, 1))
    rung = rungs[_below(len(rungs), generator)]
    kinds = channels.found.kinds[names]
    return torch.cat([_all_but(kept, names[kinds == kind], generator) for kind, kept in rung.items()])


def _below(count: int, generator: torch.Generator) -> int:
    """1 … count - 1, or 0 where that is none."""
    return int(torch.randint(1, count, (), generator=generator)) if count > 1 else 0


def _all_but(kept: int, names: Tensor, generator: torch.Generator) -> Tensor:
    return names[torch.randperm(len(names), generator=generator)[kept:]]
