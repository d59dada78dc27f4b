"""Layers that are to stay as they are: all channels that go through their weights are frozen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import nn

from edgekit.errors import unknown
from edgekit.graph.channels import ChannelGraph, Group


def protect(channels: ChannelGraph, module: nn.Module, names: Iterable[str]) -> ChannelGraph:
    """The channels of a network with these layers (or blocks: all layers in them) frozen, inputs and outputs.

    Where an operator ties the widths of several layers, all of them stay. Raises `InputError` for a name that the
    network has not, with those that are near.
    """
    wanted = tuple(names)
    weighted = {name.rpartition(".")[0] for name, _ in module.named_parameters()}
    blocks = {name for name, _ in module.named_modules() if name}
    for name in wanted:
        if name not in blocks:
            raise unknown("layer", name, weighted)
    why = {index: _protected(group, wanted) for index, group in enumerate(channels.groups)}
    for component in channels.components:
        reason = next((why[index] for index in component if why[index]), "")
        why.update(dict.fromkeys(component, reason))
    groups = tuple(
        replace(group, frozen=group.frozen or why[index]) for index, group in enumerate(channels.groups)
    )
    components = tuple(each for each in channels.components if not any(why[index] for index in each))
    return replace(channels, groups=groups, components=components)


def _protected(group: Group, names: tuple[str, ...]) -> str:
    """Which of the layers a group goes through, in words; or an empty text."""
    return next(
        (
            f"{name} is protected"
            for name in names
            if any(parameter.startswith(f"{name}.") for parameter, _ in group.axes)
        ),
        "",
    )
