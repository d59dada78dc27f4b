"""Channels leave a network: parameters are sliced, modules told their new widths, and the result is proven."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgekit.errors import EdgekitError
from edgekit.graph.channels import Axis, ChannelGraph, channel_graph
from edgekit.graph.trace import Shape, trace

TOLERANCE = 1e-9
"""Largest relative difference, in float64, between a pruned network and its masked original."""


class Removal(NamedTuple):
    """A pruned network and its proof."""

    module: nn.Module
    difference: float
    """`masked_difference` of it, at most `TOLERANCE`."""


def remove_channels(
    module: nn.Module, channels: ChannelGraph, removed: Tensor, input_shape: Shape
) -> Removal:
    """A copy of the network without the classes in `removed` (int64), proven equal to the masked original.

    Producers are sliced; the smaller network is walked with the labels that survived; each consumer's weights
    are gathered in the order in which labels now arrive. Raises `EdgekitError` where the proof fails.
    """
    pruned = slice_parameters(copy.deepcopy(module), channels.keep_masks(removed))
    surviving = {name: labels[~torch.isin(labels, removed)] for name, labels in channels.producers().items()}
    arriving = channel_graph(trace(pruned, input_shape), producers=surviving).consumers()
    for name, labels in channels.consumers().items():
        _gather(pruned, name, labels[~torch.isin(labels, removed)], arriving[name])
    difference = masked_difference(module, pruned, channels, removed, input_shape)
    if not difference <= TOLERANCE:
        raise EdgekitError(
            f"the pruned {type(module).__name__} differs from the masked original by {difference:.1e} (relative)",
            hint="the channel analysis missed a dependency of this network; nothing was changed",
        )
    return Removal(pruned, difference)


def masked_difference(
    original: nn.Module, pruned: nn.Module, channels: ChannelGraph, removed: Tensor, input_shape: Shape
) -> float:
    """max|masked - pruned| / max|masked| in float64 on one random input.

    The masked network is the original with the removed channels' contributions cut at each consumer.
    """
    masked = copy.deepcopy(original).double().cpu().eval()
    parameters = dict(masked.named_parameters())
    with torch.no_grad():
        for name, labels in channels.consumers().items():
            parameters[name][:, torch.isin(labels, removed)] = 0
        example = torch.randn(input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        expected, actual = masked(example), copy.deepcopy(pruned).double().cpu().eval()(example)
    return float((expected - actual).abs().max() / expected.abs().max().clamp_min(1e-300))


def slice_parameters(module: nn.Module, keep: Mapping[Axis, Tensor]) -> nn.Module:
    """Cut parameters and buffers, in place, to the entries whose mask is true, and refit their modules."""
    masks: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for (name, axis), mask in keep.items():
        masks[name][axis] = mask
    for name, by_axis in masks.items():
        value = _tensor(module, name)
        for axis, mask in by_axis.items():
            value = value.index_select(axis, mask.nonzero().flatten().to(value.device))
        set_tensor(module, name, value)
    refit(module)
    return module


def set_tensor(module: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor of any shape in the place of the parameter or buffer of that full name."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if leaf in owner._parameters:
        owner._parameters[leaf] = nn.Parameter(value.detach().clone())
    else:
        owner._buffers[leaf] = value.detach().clone()


def refit(module: nn.Module) -> None:
    """Make the width attributes of standard layers agree with their tensors."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            depthwise = layer.groups == layer.in_channels and layer.groups > 1
            outputs, per_group = layer.weight.shape[:2]
            if depthwise:
                layer.groups = outputs * layer.in_channels // layer.out_channels
            layer.out_channels, layer.in_channels = outputs, per_group * layer.groups
        elif isinstance(layer, nn.Linear):
            layer.out_features, layer.in_features = layer.weight.shape
        elif isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            layer.num_features = layer.running_mean.shape[0]


def _tensor(module: nn.Module, name: str) -> Tensor:
    path, _, leaf = name.rpartition(".")
    value = getattr(module.get_submodule(path), leaf)
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is no tensor")
    return value.detach()


def _gather(pruned: nn.Module, name: str, sliced_for: Tensor, arriving: Tensor) -> None:
    """Reorder a consumer's input axis from the order it was sliced in to the order in which labels arrive."""
    if torch.equal(sliced_for, arriving):
        return
    order = torch.argsort(arriving, stable=True).argsort(stable=True)
    from_sorted = torch.argsort(sliced_for, stable=True)
    if not torch.equal(sliced_for[from_sorted], arriving.sort(stable=True).values):
        raise EdgekitError(
            f"other channels arrive at {name} than it was sliced for", hint="nothing was changed"
        )
    set_tensor(pruned, name, _tensor(pruned, name).index_select(1, from_sorted[order]))
