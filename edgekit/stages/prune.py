"""`Prune`: whole channels leave, the least important first, and the result is proven equal to its mask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekit.graph.budget import choose
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.cost import cost, cost_of_graph
from edgekit.graph.importance import importance
from edgekit.graph.surgery import Removal, remove_channels
from edgekit.graph.trace import trace
from edgekit.model import Event, Model
from edgekit.recipe import PruneOptions, allowed_macs
from edgekit.stages import Context, RejectedError, need_labels
from edgekit.stages.sparsity import parse, project


@dataclass(frozen=True)
class Prune:
    """Structured pruning by group importance over channel labels, to a budget in MACs."""

    options: PruneOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The model without its least important channels, within `macs`.

        Raises `BudgetError` where the budget is out of reach, `InputError` where nothing can be pruned,
        `RejectedError` where nothing need be, or where a run could not keep what comes out.
        """
        need_labels(context)
        allowed = allowed_macs(self.options.macs, cost(context.baseline.module, model.input_shape).macs)
        before = cost(model.module, model.input_shape).macs
        if before <= allowed:
            raise RejectedError(f"nothing to remove: {before:,} MACs are within {allowed:,} already")
        pruned = prune(model, macs=allowed, multiple=context.target.channel_multiple)
        if pruned.removal.rewritten:
            raise RejectedError(
                f"only its exported graph could be pruned, and a run keeps modules: {pruned.removal.rewritten}"
            )
        return pruned.model


@dataclass(frozen=True)
class Pruned:
    """A pruned model, and what was decided on the way."""

    model: Model
    removal: Removal
    channels: ChannelGraph
    """Of the network before."""
    removed: Tensor
    """Classes, int64."""


def prune(model: Model, *, macs: int, multiple: int) -> Pruned:
    """Remove the least important channels until at most `macs` multiply-accumulates are left.

    Widths stay multiples of `multiple`; a sparsity pattern is projected anew, in the final channel order. Raises
    `BudgetError` where the budget is out of reach and `InputError` where nothing can be pruned.
    """
    graph = trace(model.module, model.input_shape)
    channels = channel_graph(graph)
    choice = choose(channels, importance(model.module, channels), macs=macs, multiple=multiple)
    removal = remove_channels(model.module, channels, choice.removed)
    sparsity = {
        layer: pattern for layer, pattern in model.sparsity.items() if _fits(removal.module, layer, pattern)
    }
    project(removal.module, sparsity)
    event = Event(
        stage="prune",
        summary=f"{len(choice.removed)} channels of {sum(len(group.classes) for group in channels.groups)} removed",
        details={
            "channels_removed": len(choice.removed),
            "macs_before": cost_of_graph(graph, model.module, model.input_shape).macs,
            "macs_after": choice.macs,
            "macs_allowed": macs,
            "channel_multiple": multiple,
            "masked_difference": removal.difference,
            "widths": _widths(channels, choice.removed),
            "frozen": {
                group.axes[0][0]: group.frozen
                for group in channels.groups
                if group.frozen and channels.touches_weights(group)
            },
            "pattern_lost": sorted(model.sparsity.keys() - sparsity.keys()),
        },
    )
    after = model.after(event, module=removal.module, sparsity=sparsity)
    return Pruned(after, removal, channels, choice.removed)


def _fits(module: nn.Module, layer: str, pattern: str) -> bool:
    return module.get_parameter(f"{layer}.weight").shape[1] % parse(pattern)[1] == 0


def _widths(channels: ChannelGraph, removed: Tensor) -> dict[str, str]:
    """Layer → output channels before and after, where they changed."""
    return {
        weight.removesuffix(".weight"): f"{len(classes)} → {int((~torch.isin(classes, removed)).sum())}"
        for weight, classes in channels.producers().items()
        if bool(torch.isin(classes, removed).any())
    }
