"""One pruning step: channels are ranked and chosen, leave, and the result is proven equal to its mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from edgekit.errors import BudgetError, InputError
from edgekit.graph.budget import Choice, OutOfReachError, choose
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.cost import Cost
from edgekit.graph.counters import counter_of
from edgekit.graph.importance import Evidence, importance
from edgekit.graph.kept import survivors_after
from edgekit.graph.protection import protect
from edgekit.graph.surgery import Removal, remove_channels
from edgekit.graph.trace import trace
from edgekit.model import Detail, Event, Model
from edgekit.patterns import pattern_of
from edgekit.recipe import BEST_OF_WEIGHTS, BEST_SCOPE, Criterion, Resource, Scope
from edgekit.stages.as_graph import as_graph
from edgekit.stages.sparsity import project
from edgekit.units import human_bytes

FILE_TRIALS = 4
"""Files made at most to reach a size; two where a file is its weights and a constant."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """How channels compete."""

    criterion: Criterion = BEST_OF_WEIGHTS
    scope: Scope = BEST_SCOPE
    protected: tuple[str, ...] = ()
    """Layers that stay as they are."""
    evidence: Evidence | None = None
    """What `taylor` and `reconstruction` look at."""


BY_WEIGHTS = Ranking()


@dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned model, and what was decided on the way."""

    model: Model
    removal: Removal
    channels: ChannelGraph
    """Of the network before."""
    choice: Choice
    unkept: str = ""
    """Why no checkpoint can hold it, where that is so."""

    @property
    def removed(self) -> Tensor:
        """Classes, int64."""
        return self.choice.removed


def figures(cost: Cost) -> dict[Resource, int]:
    """What a network costs, by the names of budgets; the size of its file is not known from its graph."""
    return {
        "macs": cost.macs,
        "params": cost.params,
        "memory_access": cost.memory_access_bytes,
        "peak_memory": cost.peak_activation_bytes,
    }


def kept_already(now: Mapping[Resource, int], allowed: Mapping[Resource, int]) -> str:
    """That there is nothing to remove, with the figures, where all budgets are kept; else an empty text."""
    if any(now[name] > most for name, most in allowed.items()):
        return ""
    kept = "; ".join(f"{name} {now[name]:,} of {most:,}" for name, most in allowed.items())
    return f"nothing to remove: {kept} already"


def prune(
    model: Model,
    *,
    allowed: Mapping[Resource, int],
    multiple: int,
    ranking: Ranking = BY_WEIGHTS,
    channels: ChannelGraph | None = None,
    file_bytes: Callable[[Model], int] | None = None,
) -> Pruned:
    """Remove the least important channels until no more than `allowed` is left.

    `size` is that of float weights, or with `file_bytes` that of the file that a model makes. Widths stay multiples
    of `multiple` where the budgets can be reached so (see `choose`); a sparsity pattern is projected anew, in the
    final channel order. `channels`, where they are known, save the export. Raises `BudgetError` where a budget is out
    of reach (a file's: with the bytes of the smallest) and `InputError` where nothing can be pruned, or the criterion
    does not apply.
    """
    module = model.module
    free = protect(channels or channel_graph(trace(module, model.input_shape)), module, ranking.protected)
    scores = importance(module, free, ranking.criterion, ranking.evidence)
    ranked = _Ranked(model, free, scores, ranking, multiple)
    if file_bytes is None:
        return ranked.prune(allowed)
    return _to_file(ranked, allowed, file_bytes)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """A model whose channels have their scores: what one budget after another can be tried on."""

    model: Model
    channels: ChannelGraph
    scores: Mapping[int, float]
    ranking: Ranking
    multiple: int

    def prune(self, allowed: Mapping[Resource, int]) -> Pruned:
        """The model without its least important channels, proven; `size` is that of float weights."""
        model, channels, ranking = self.model, self.channels, self.ranking
        choice = choose(
            channels, model.module, self.scores, allowed, multiple=self.multiple, scope=ranking.scope
        )
        removal = remove_channels(model.module, channels, choice.removed)
        module, source, unkept = removal.module, model.source, ""
        if removal.rewritten:
            try:
                module, source = as_graph(model, channels, choice.removed)
            except InputError as error:
                unkept = f"{removal.rewritten}; nor can its graph take its place: {error.what}"
        sparsity = {
            layer: pattern for layer, pattern in model.sparsity.items() if _fits(module, layer, pattern)
        }
        project(module, sparsity)
        details: dict[str, Detail] = {
            "criterion": ranking.criterion,
            "scope": ranking.scope,
            **_removal_details(channels, model.module, choice.removed),
            # A file's size is reached through that of its weights.
            **{
                f"{'weight_bytes' if name == 'size' else name}_allowed": most
                for name, most in allowed.items()
            },
            "channel_multiple": choice.multiple,
            "masked_difference": removal.difference,
            "rewritten": removal.rewritten,
            "not_judged": _not_judged(channels, self.scores),
            "pattern_lost": sorted(model.sparsity.keys() - sparsity.keys()),
        }
        every = sum(len(group.classes) for group in channels.groups)
        summary = f"{len(choice.removed)} channels of {every} removed"
        event = Event(stage="prune", summary=summary, details=details)
        pruned = replace(
            model.after(event, module=module, sparsity=sparsity),
            source=source,
            survivors=survivors_after(model.survivors, model.module, removal.places),
        )
        return Pruned(pruned, removal, channels, choice, unkept)


def _to_file(ranked: _Ranked, allowed: Mapping[Resource, int], file_bytes: Callable[[Model], int]) -> Pruned:
    """Trials until the file fits: what it holds besides weights is found by making it."""
    nearest = file_bytes(ranked.model)
    besides = nearest - counter_of("size", ranked.channels, ranked.model.module)()
    fitting: Pruned | None = None
    for _ in range(FILE_TRIALS):
        pruned, narrowest = _within_reach(ranked, {**allowed, "size": max(allowed["size"] - besides, 0)})
        spare = allowed["size"] - (made := file_bytes(pruned.model))
        nearest = min(nearest, made)
        if spare >= 0:
            again = fitting is not None and len(fitting.removed) == len(pruned.removed)
            fitting = pruned
            if again or spare < pruned.choice.step["size"]:
                break
        elif narrowest:
            break
        besides = made - pruned.choice.left["size"]
    if fitting is None:
        raise BudgetError(
            f"pruning cannot reach a file of {human_bytes(allowed['size'])}: the nearest has {human_bytes(nearest)}",
            hint=f"ask for at least {nearest:,} bytes",
        )
    return fitting


def _within_reach(ranked: _Ranked, goal: Mapping[Resource, int]) -> tuple[Pruned, bool]:
    """Pruned to so many bytes of weights, or to the fewest that there can be, and whether it is these."""
    try:
        return ranked.prune(goal), False
    except OutOfReachError as error:
        if error.resource != "size":
            raise
        return ranked.prune({**goal, "size": max(error.left, 0)}), True


def widths(channels: ChannelGraph, removed: Tensor | None = None) -> dict[str, int]:
    """Layer → output channels, without those removed."""
    gone = torch.zeros(0, dtype=torch.int64) if removed is None else removed
    return {
        weight.removesuffix(".weight"): int((~torch.isin(classes, gone)).sum())
        for weight, classes in channels.producers().items()
    }


def changed_widths(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, str]:
    """Layer → output channels before and after, where they changed."""
    return {
        layer: f"{width} → {after[layer]}"
        for layer, width in before.items()
        if layer in after and after[layer] != width
    }


def _fits(module: nn.Module, layer: str, pattern: str) -> bool:
    weight, groups = (
        module.get_parameter(f"{layer}.weight"),
        getattr(module.get_submodule(layer), "groups", 1),
    )
    return not pattern_of(pattern).obstacle(tuple(weight.shape), groups)


def _removal_details(channels: ChannelGraph, module: nn.Module, removed: Tensor) -> dict[str, Detail]:
    """What leaves, by layer, and what may not."""
    counter = counter_of("macs", channels, module)
    before = counter()
    counter.remove(removed.tolist())
    return {
        "channels_removed": len(removed),
        "macs_before": before,
        "macs_after": counter(),
        "widths": changed_widths(widths(channels), widths(channels, removed)),
        "frozen": {
            group.axes[0][0]: group.frozen
            for group in channels.groups
            if group.frozen and channels.touches_weights(group)
        },
    }


def _not_judged(channels: ChannelGraph, scores: Mapping[int, float]) -> list[str]:
    """The layers whose channels might go, had the criterion anything to say of them."""
    return [
        group.axes[0][0].rpartition(".")[0]
        for group in channels.prunable
        if channels.touches_weights(group) and int(group.classes[0]) not in scores
    ]
