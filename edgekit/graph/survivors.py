"""Which entry of each parameter stays, and where: the smaller network is labelled and matched to what is kept.

The smaller network's own operators decide which of its channels goes where. Every one of them is given the weights
of a channel that is kept and took the same path; consumers are gathered in the order in which channels arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph, axis_uses
from edgekit.graph.kinds import Classes, sorted_into_classes
from edgekit.graph.labels import Axis, MisfitError, Walk, label_smaller
from edgekit.graph.labels.value import LABELS, label, path

MISFIT_HINT = "nothing was changed; let `choose` find channels that can go together"


@dataclass(frozen=True)
class Survivors:
    """A smaller network, as entries of the larger one's parameters."""

    walk: Walk
    places: Mapping[Axis, Tensor]
    """Parameter axis → (blocks, entries), int64: the entries to take, in order."""


def kept_widths(channels: ChannelGraph, kept: Tensor) -> dict[Axis, int]:
    """How many channels each producer keeps; `kept` (labels,) bool says it of each class."""
    book = channels.walk.book
    alive = kept[channels.found.classes]
    ends = [*list(book.first_label.values())[1:], book.labels]
    return {
        producer: int(alive[first:end].sum())
        for (producer, first), end in zip(book.first_label.items(), ends, strict=True)
    }


def survivors(channels: ChannelGraph, removed: Tensor) -> Survivors:
    """Match the network without the classes in `removed` (int64) to what is kept.

    Raises `InputError` where these classes cannot go, or cannot go together, with the reason.
    """
    kept = _kept(channels, removed)
    widths = kept_widths(channels, kept)
    for (name, _), width in widths.items():
        if width == 0:
            raise InputError(f"no channel of {name} would be left", hint="nothing was changed")
    try:
        walk = label_smaller(channels.graph, channels.walk, widths)
        smaller = sorted_into_classes(walk)
        origin = _origin(channels.found, kept, smaller)
        places = _places(channels, walk, origin)
    except MisfitError as error:
        raise InputError(f"these channels cannot go together: {error}", hint=MISFIT_HINT) from error
    return Survivors(walk, places)


def _kept(channels: ChannelGraph, removed: Tensor) -> Tensor:
    group_of = channels.group_of
    inside = (removed >= 0) & (removed < len(group_of))
    groups = torch.where(inside, group_of[removed.clamp(0, len(group_of) - 1)], -1)
    if bool((groups < 0).any()):
        name = int(removed[groups < 0].min())
        raise InputError(f"{name} names no class of channels", hint="see `ChannelGraph.groups`")
    for group in torch.unique(groups).tolist():
        if reason := channels.groups[group].frozen:
            raise InputError(f"channels of {channels.groups[group].axes[0][0]} must stay: {reason}")
    kept = torch.ones(len(channels.found.classes), dtype=torch.bool)
    kept[removed] = False
    return kept


def _origin(found: Classes, kept: Tensor, smaller: Classes) -> Tensor:
    """For each label of the smaller network, the label of the larger one that it stands for."""
    alive = found.there & kept[found.classes]
    alive[0] = False
    new = _ordered(smaller, smaller.there & (torch.arange(len(alive)) > 0))
    old = _ordered(found, alive)
    if len(new[0]) != len(old[0]) or not torch.equal(new[1], old[1]):
        raise MisfitError("the operators that cut channels into pieces would cut them elsewhere")
    origin = torch.zeros(len(alive), dtype=torch.int64)
    origin[new[0]] = old[0]
    return origin


def _ordered(found: Classes, there: Tensor) -> tuple[Tensor, Tensor]:
    """The labels that are there, by kind of class, class, and kind of label; and these kinds."""
    labels = there.nonzero().flatten()
    classes = found.classes[labels]
    kinds, own = found.kinds[classes], found.label_kinds[labels]
    order = torch.from_numpy(np.lexsort((labels.numpy(), own.numpy(), classes.numpy(), kinds.numpy())))
    return labels[order], torch.stack((kinds[order], own[order]))


def _places(channels: ChannelGraph, walk: Walk, origin: Tensor) -> dict[Axis, Tensor]:
    before = axis_uses(channels.walk)
    places: dict[Axis, Tensor] = {}
    known: dict[tuple[int, int], Tensor] = {}  # a norm's parameters all meet the same tokens
    for axis, uses in axis_uses(walk).items():
        for number, use in enumerate(uses):
            given = before[axis][number].tokens
            found = known.get((id(use.tokens), id(given)))
            if found is None:
                wanted = path(use.tokens) * LABELS + origin[label(use.tokens)]
                found = torch.stack([_found(one, two) for one, two in zip(wanted, given, strict=True)])
                known[id(use.tokens), id(given)] = found
            if not torch.equal(places.setdefault(axis, found), found):
                raise MisfitError(f"{axis[0]} would be read in two orders")
    return places


def _found(wanted: Tensor, given: Tensor) -> Tensor:
    """The place of each wanted token among those given; a token that occurs again is the next of its like."""
    order = torch.argsort(given, stable=True)
    ranked = given[order]
    own = torch.argsort(wanted, stable=True)
    sought = wanted[own]
    first = torch.searchsorted(sought, sought)
    place = torch.searchsorted(ranked, sought) + torch.arange(len(sought)) - first
    if bool((place >= len(ranked)).any()) or not torch.equal(ranked[place], sought):
        raise MisfitError("other channels arrive than there are weights for")
    found = torch.empty_like(place)
    found[own] = order[place]
    return found
