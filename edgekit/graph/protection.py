"""Layers that are to stay as they are: all channels that go through their weights are frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from torch import nn

from edgekit.errors import InputError, unknown
from edgekit.graph.channels import ChannelGraph, Group
from edgekit.graph.trace import first_names


def protect(channels: ChannelGraph, module: nn.Module, names: Iterable[str]) -> ChannelGraph:
    """The channels of a network with these layers (or blocks: all layers in them) frozen, inputs and outputs.

    Where an operator ties the widths of several layers, all of them stay. Raises `InputError` for a name that the
    network has not, with those that are near, and for one that no channels go through.
    """
    wanted = tuple(names)
    first = first_names(module)
    blocks = {name for name, _ in module.named_modules(remove_duplicate=False) if name}
    met = {parameter for group in channels.groups for parameter, _ in group.axes}
    held: dict[str, set[str]] = {}
    for name in wanted:
        if name not in blocks:
            raise unknown("layer", name, {full.rpartition(".")[0] for full in first})
        held[name] = {own for full, own in first.items() if full.startswith(f"{name}.")} & met
        if not held[name]:
            raise InputError(
                f"{name} has no weights that channels go through: there is nothing to protect",
                hint="name a layer or block that has, as --show does",
            )
    why = {index: _protected(group, held) for index, group in enumerate(channels.groups)}
    for component in channels.components:
        reason = next((why[index] for index in component if why[index]), "")
        why.update(dict.fromkeys(component, reason))
    groups = tuple(
        replace(group, frozen=group.frozen or why[index]) for index, group in enumerate(channels.groups)
    )
    components = tuple(each for each in channels.components if not any(why[index] for index in each))
    return replace(channels, groups=groups, components=components)


def _protected(group: Group, held: Mapping[str, set[str]]) -> str:
    """Which of the layers a group goes through, in words; or an empty text."""
    parameters = {parameter for parameter, _ in group.axes}
    return next((f"{name} is protected" for name, own in held.items() if own & parameters), "")
