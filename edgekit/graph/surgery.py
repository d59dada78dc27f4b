"""Channels leave a network: parameters are gathered, modules told their new widths, and the result is proven."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from edgekit.errors import EdgekitError
from edgekit.graph.channels import ChannelGraph
from edgekit.graph.labels import Axis
from edgekit.graph.masked import Masked
from edgekit.graph.refit import finite_tensor, refit, set_tensor, tensor_of, tie
from edgekit.graph.rewrite import copied, in_double, rewritten
from edgekit.graph.survivors import Survivors, survivors
from edgekit.graph.trace import first_names, shape_of

TOLERANCE = 1e-9
"""Largest relative difference, in float64, between a pruned network and its masked original."""
FORWARD_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, AttributeError)
"""What a forward raises when sizes that it holds itself are no longer those of its layers."""


class Removal(NamedTuple):
    """A pruned network and its proof."""

    module: nn.Module
    difference: float
    """`masked_difference` of it, at most `TOLERANCE`."""
    rewritten: str
    """Empty where the module is of the original's class; else why it is its exported graph, with new sizes."""
    places: Mapping[Axis, Tensor]
    """Parameter axis → (blocks, entries), int64: what was taken of the original, in order."""


def remove_channels(module: nn.Module, channels: ChannelGraph, removed: Tensor) -> Removal:
    """A copy of the network without the classes in `removed` (int64), proven equal to the masked original.

    The module stays what it is where its forward still runs; where it holds sizes of its own, its exported graph
    takes its place. Raises `InputError` where these classes cannot go (together) or weights are not finite, and
    `EdgekitError` where the proof fails; the network that was given is never changed.
    """
    refuse_non_finite(module)
    smaller = survivors(channels, removed)
    expected = _masked_outputs(module, channels, removed)
    pruned = cut(module, smaller)
    difference, why = _forward_difference(pruned, channels, expected)
    if difference <= TOLERANCE:
        return Removal(pruned.train(module.training), difference, "", smaller.places)
    graph = cut_graph(module, channels, smaller)
    difference = _difference(in_double(graph, graph), channels, expected)
    if not difference <= TOLERANCE:
        raise EdgekitError(
            f"the pruned {type(module).__name__} differs from the masked original by {difference:.1e} (relative)",
            hint="the channel analysis missed a dependency of this network; nothing was changed",
        )
    return Removal(graph, difference, why, smaller.places)


def masked_difference(
    original: nn.Module, pruned: nn.Module, channels: ChannelGraph, removed: Tensor
) -> float:
    """max|masked - pruned| / max|masked| in float64 on one random input, the largest of all outputs.

    The masked network is the original with what the removed channels contribute cut away at each consumer.
    """
    return _difference(doubled(pruned), channels, _masked_outputs(original, channels, removed))


def refuse_non_finite(module: nn.Module) -> None:
    """Raise `InputError` where a parameter holds NaN or infinity."""
    for name, _ in module.named_parameters():
        finite_tensor(module, name)


def cut(module: nn.Module, smaller: Survivors) -> nn.Module:
    """A copy of the network with the parameters of a smaller one, its layers' widths refitted."""
    gathered = _gathered(module, smaller)
    held = (*module.named_parameters(), *module.named_buffers())
    replaced = {id(value): value for name, value in held if name in gathered}
    pruned = copy.deepcopy(module, dict(replaced))  # what is replaced at once need not be copied
    for name, value in gathered.items():
        set_tensor(pruned, name, value)
    tie(pruned, first_names(module))
    refit(pruned)
    return pruned


def cut_graph(module: nn.Module, channels: ChannelGraph, smaller: Survivors) -> fx.GraphModule:
    """The network's exported graph with the parameters and sizes of a smaller one."""
    graph = copied(channels.graph, module)
    rewritten(graph, smaller.walk)
    for name, value in _gathered(module, smaller).items():
        set_tensor(graph, name, value)
    return graph


def _gathered(module: nn.Module, smaller: Survivors) -> dict[str, Tensor]:
    """Parameters and buffers of which something goes, or moves."""
    axes: dict[str, dict[int, Tensor]] = {}
    for (name, axis), places in smaller.places.items():
        axes.setdefault(name, {})[axis] = places
    found = {name: _taken(tensor_of(module, name), by_axis) for name, by_axis in axes.items()}
    return found | {name: value.clone() for name, value in smaller.walk.constants.items()}


def _taken(value: Tensor, by_axis: Mapping[int, Tensor]) -> Tensor:
    """The entries at these places: axis 0 first, then in each of its blocks those of the other axes."""
    for axis in sorted(by_axis):
        places = by_axis[axis].to(value.device)
        blocks = value.chunk(len(places)) if len(places) > 1 else (value,)
        parts = [block.index_select(axis, own) for block, own in zip(blocks, places, strict=True)]
        value = torch.cat(parts) if len(parts) > 1 else parts[0]
    return value


def doubled(module: nn.Module) -> nn.Module:
    """A copy in eval mode that computes in float64, on the CPU."""
    if isinstance(module, fx.GraphModule):
        return in_double(module, module)
    return copy.deepcopy(module).double().cpu().eval()


def _examples(channels: ChannelGraph) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape_of(node), dtype=torch.float64, generator=generator)
        for node in channels.graph.graph.find_nodes(op="placeholder")
    ]


def _masked_outputs(module: nn.Module, channels: ChannelGraph, removed: Tensor) -> list[Tensor]:
    network = in_double(channels.graph, module)
    with torch.no_grad():
        return _tensors(Masked(network, channels, removed).run(*_examples(channels)))


def _forward_difference(
    pruned: nn.Module, channels: ChannelGraph, expected: list[Tensor]
) -> tuple[float, str]:
    """The difference of a module run by its own forward, and what is wrong with it otherwise."""
    try:
        difference = _difference(doubled(pruned), channels, expected)
    except FORWARD_ERRORS as error:
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return float("inf"), f"the forward of {type(pruned).__name__} holds sizes of its own: {first}"
    return difference, f"the forward of {type(pruned).__name__} gives something else at the new widths"


def _difference(doubled: nn.Module, channels: ChannelGraph, expected: list[Tensor]) -> float:
    with torch.no_grad():
        actual = _tensors(doubled(*_examples(channels)))
    if [value.shape for value in actual] != [value.shape for value in expected]:
        return float("inf")
    if not all(bool(torch.isfinite(value).all()) for value in (*actual, *expected)):
        return float("inf")
    differences = [
        float((one.double() - two.double()).abs().max() / one.double().abs().max().clamp_min(1e-300))
        for one, two in zip(expected, actual, strict=True)
        if one.numel()
    ]
    return max(differences, default=0.0)


def _tensors(outputs: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
