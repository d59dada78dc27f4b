"""`Prune`: whole channels leave, the least important first, and the result is proven equal to its mask."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edgekit.graph.budget import choose, importance
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.cost import cost, cost_of_graph
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace
from edgekit.model import Event, Model
from edgekit.recipe import PruneOptions
from edgekit.stages import Context, RejectedError, need_labels
from edgekit.stages.sparsity import parse, project


@dataclass(frozen=True)
class Prune:
    """Structured pruning by group importance over channel labels, to a budget in MACs."""

    options: PruneOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The model without its least important channels, at most `macs` of the baseline's MACs.

        A sparsity pattern is projected anew, in the final channel order. Raises `BudgetError` where the budget
        is out of reach, `InputError` where nothing can be pruned, `RejectedError` where nothing need be.
        """
        need_labels(context)
        graph = trace(model.module, model.input_shape)
        channels = channel_graph(graph)
        before = cost_of_graph(graph, model.module, model.input_shape)
        allowed = int(self.options.macs * cost(context.baseline.module, model.input_shape).macs)
        if before.macs <= allowed:
            raise RejectedError(f"nothing to remove: {before.macs:,} MACs are within {allowed:,} already")
        choice = choose(
            channels,
            importance(model.module, channels),
            graph,
            macs=allowed,
            multiple=context.target.channel_multiple,
        )
        module, difference = remove_channels(model.module, channels, choice.removed, model.input_shape)
        sparsity = {
            layer: pattern for layer, pattern in model.sparsity.items() if _fits(module, layer, pattern)
        }
        project(module, sparsity)
        event = Event(
            stage="prune",
            summary=f"{len(choice.removed)} channels of {sum(len(group.classes) for group in channels.groups)} removed",
            details={
                "channels_removed": len(choice.removed),
                "macs_before": before.macs,
                "macs_after": choice.macs,
                "macs_allowed": allowed,
                "channel_multiple": context.target.channel_multiple,
                "masked_difference": difference,
                "widths": _widths(model.module, module),
                "frozen": _frozen(channels),
                "pattern_lost": sorted(model.sparsity.keys() - sparsity.keys()),
            },
        )
        return model.after(event, module=module, sparsity=sparsity)


def _fits(module: nn.Module, layer: str, pattern: str) -> bool:
    return module.get_parameter(f"{layer}.weight").shape[1] % parse(pattern)[1] == 0


def _widths(before: nn.Module, after: nn.Module) -> dict[str, str]:
    """Layer → output channels before and after, where they changed."""
    wide = {
        name: layer.weight.shape[0]
        for name, layer in before.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    slim = {
        name: layer.weight.shape[0]
        for name, layer in after.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    return {name: f"{wide[name]} → {slim[name]}" for name in wide if wide[name] != slim[name]}


def _frozen(channels: ChannelGraph) -> dict[str, str]:
    return {group.axes[0][0]: group.frozen for group in channels.groups if group.frozen}
