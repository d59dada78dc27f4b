"""`Sparsify` with `pattern = "channel"`: what the next prune removes is trained towards zero before.

The penalty acts on the classes of the channel graph that the prune will find again. What it leaves at zero is pruned
without a loss: the accuracy behind the prune is then the accuracy in front of it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgekit.data.split import Split
from edgekit.errors import BudgetError
from edgekit.graph.budget import choose
from edgekit.graph.channels import ChannelGraph, Slot, channel_graph
from edgekit.graph.counters import counter_of
from edgekit.graph.importance import importance
from edgekit.graph.importance.batch_norm import scales_of
from edgekit.graph.protection import protect
from edgekit.graph.trace import trace
from edgekit.model import Event, Model
from edgekit.recipe import PruneOptions, Resource, SparsifyOptions, allowance
from edgekit.stages import Context, RejectedError
from edgekit.stages.evidence import ranking_of
from edgekit.stages.pruning import Ranking, kept_already
from edgekit.stages.recover import distil
from edgekit.stages.shrinkage import GroupLasso, Groups
from edgekit.stages.training import recalibrate

STRENGTH = {"growing": 2.0, "batch-norm": 0.5}
"""More than 1 overcomes gradients that hold against it; all scales must not go, so there it is less."""


def sparsify_channels(model: Model, options: SparsifyOptions, context: Context) -> Model:
    """The model trained with a penalty on channels; their number stays.

    `growing`: a group lasso over all weights of the channels that `choose` would remove now, its weight growing
    (Wen et al. 2016; Wang et al. 2021). `batch-norm`: L1 on the batch-norm scales of all channels that may go; those
    of the smallest scales are then cleared (Liu et al. 2017). Raises `RejectedError` where the next prune
    has nothing to remove or could not reach its budget by this ranking, or no scale is there.
    """
    module = copy.deepcopy(model.module)
    following = _following(context)
    channels, allowed = _pruned_next(module, model, following, context)
    scales = options.penalty == "batch-norm"
    names = _scaled(channels) if scales else _free(channels)
    ranking = _ranking(model, following, context, by_scale=scales)
    going = _going(channels, module, allowed, ranking, context)
    groups = Groups(module, _scales(channels) if scales else channels.slots, names)
    first = groups.norms().cpu()
    most = first.mean().expand(len(names)) if scales else first * torch.isin(names, going)
    strength = STRENGTH[options.penalty] if options.strength is None else options.strength
    penalty = GroupLasso(groups, most, strength)
    distil(module, model, context, options, title="sparsify", penalty=penalty)
    last = groups.norms().cpu()
    if scales:
        going = _going(channels, module, allowed, ranking, context)
        _clear(Groups(module, channels.slots, going))
    recalibrate(module, _train_split(context), context.torch_device)
    shares = [_share(norms, torch.isin(names, going)) for norms in (first, last)]
    event = Event(
        stage="sparsify",
        summary=f"{len(going)} channels trained towards zero: {shares[0]:.1%} of the norm before, {shares[1]:.1%} now",
        details={
            "pattern": "channel",
            "penalty": options.penalty,
            "channels": len(going),
            "norm_share_before": shares[0],
            "norm_share_after": shares[1],
        },
    )
    return model.after(event, module=module.eval())


def _following(context: Context) -> PruneOptions:
    if context.next_prune is None:
        raise RejectedError("no prune follows that would remove what was trained towards zero")
    return context.next_prune


def _pruned_next(
    module: nn.Module, model: Model, following: PruneOptions, context: Context
) -> tuple[ChannelGraph, dict[Resource, int]]:
    """The channels that the next prune will choose from, and its budgets; of a file, the weights alone are counted.

    Raises `RejectedError` where it has nothing to remove.
    """
    channels = channel_graph(trace(module, model.input_shape))
    start = now = {name: counter_of(name, channels, module)() for name in following.budgets}
    if context.baseline is not model:
        baseline = context.baseline.module
        whole = channel_graph(trace(baseline, model.input_shape))
        start = {name: counter_of(name, whole, baseline)() for name in following.budgets}
    allowed = {name: allowance(limit, start[name]) for name, limit in following.budgets.items()}
    if kept := kept_already(now, allowed):
        raise RejectedError(kept)
    return protect(channels, module, following.protect), allowed


def _ranking(model: Model, following: PruneOptions, context: Context, *, by_scale: bool) -> Ranking:
    if by_scale:
        return Ranking("batch-norm-scale", following.scope)
    return ranking_of(following, context.data, model.task)


def _going(
    channels: ChannelGraph,
    module: nn.Module,
    allowed: Mapping[Resource, int],
    ranking: Ranking,
    context: Context,
) -> Tensor:
    """The classes that a prune to these budgets would remove now; `RejectedError` where it could not reach them."""
    scores = importance(module, channels, ranking.criterion, ranking.evidence)
    multiple = context.target.channel_multiple
    try:
        return choose(channels, module, scores, allowed, multiple=multiple, scope=ranking.scope).removed
    except BudgetError as error:
        raise RejectedError(f"ranked by {ranking.criterion}, {error.what}") from error


def _share(norms: Tensor, which: Tensor) -> float:
    """What some groups hold of the squared norm of all."""
    whole = float(norms.square().sum())
    return float(norms[which].square().sum()) / whole if whole else 0.0


def _train_split(context: Context) -> Split:
    if context.data.train is None:
        raise RejectedError("no labelled pictures to train on")
    return context.data.train


def _clear(groups: Groups) -> None:
    """All that goes with a channel of a small scale, so that the prune finds it; its shift is lost there, too."""
    groups.scale(torch.zeros_like(groups.norms()))


def _free(channels: ChannelGraph) -> Tensor:
    """The classes that may go."""
    return torch.cat([group.classes for group in channels.prunable])


def _scales(channels: ChannelGraph) -> list[Slot]:
    """The slots that are scales of batch norms."""
    names = scales_of(channels)
    return [slot for slot in channels.slots if slot.parameter in names]


def _scaled(channels: ChannelGraph) -> Tensor:
    """The classes that may go and have a batch-norm scale; raises `RejectedError` where there is none."""
    scales = _scales(channels)
    free = _free(channels)
    met = torch.cat([slot.labels.flatten() for slot in scales]) if scales else free[:0]
    found = free[torch.isin(free, met)]
    if not len(found):
        raise RejectedError('no batch norm scales a channel that may go: use penalty = "growing"')
    return found
