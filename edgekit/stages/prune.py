"""`Prune`: whole channels leave, the least important first, at once or in steps with recovery between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.cost import Cost, cost, cost_of_graph
from edgekit.graph.counters import counter_of
from edgekit.graph.smaller import smaller_graph
from edgekit.graph.trace import trace
from edgekit.metrics import metric_of
from edgekit.model import Event, Model
from edgekit.recipe import PruneOptions, RecoverOptions, Resource, allowance
from edgekit.stages import Context, RejectedError, need_labels
from edgekit.stages.evidence import ranking_of
from edgekit.stages.pruning import (
    Pruned,
    Ranking,
    changed_widths,
    figures,
    kept_already,
    prune,
    widths,
)
from edgekit.stages.recover import Recover
from edgekit.stages.training import recalibrate


@dataclass(frozen=True)
class Prune:
    """Structured pruning by group importance over channel labels, to budgets."""

    options: PruneOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The model without its least important channels, within the budgets.

        Raises `BudgetError` where a budget is out of reach, `InputError` where nothing can be pruned or the
        criterion does not apply, `RejectedError` where nothing need be, where the model is quantized already, or
        where a run could not keep what comes out.
        """
        if model.quantization is not None:
            raise RejectedError(
                "it is quantized, by scales of the channels that it has: prune before quantize"
            )
        need_labels(context)
        context = replace(context, file_bytes=cache(context.file_bytes))  # a file takes seconds to make
        graph = trace(model.module, model.input_shape)
        now = self._figures(model, context, cost_of_graph(graph, model.module, model.input_shape))
        first = context.baseline
        start = (
            now if first is model else self._figures(first, context, cost(first.module, model.input_shape))
        )
        allowed = {name: allowance(limit, start[name]) for name, limit in self.options.budgets.items()}
        if kept := kept_already(now, allowed):
            raise RejectedError(kept)
        pruned = self._gradually(model, context, now, allowed, channel_graph(graph))
        if context.data.train is not None:
            recalibrate(pruned.module, context.data.train, context.torch_device)
        return pruned

    def _figures(self, model: Model, context: Context, spent: Cost) -> dict[Resource, int]:
        found = figures(spent)
        if self.options.size is not None:
            found["size"] = context.file_bytes(model)
        return found

    def _gradually(
        self,
        model: Model,
        context: Context,
        now: Mapping[Resource, int],
        allowed: Mapping[Resource, int],
        channels: ChannelGraph,
    ) -> Model:
        """Step by step to the budgets, each an equal share of the way; the network is exported once."""
        steps, current = self.options.steps, model
        ranking = ranking_of(self.options, context.data, model.task)
        before = widths(channels)
        done: list[tuple[Pruned, str]] = []
        for step in range(1, steps):
            goal = {name: now[name] - (now[name] - most) * step // steps for name, most in allowed.items()}
            if "size" in goal:  # on the way there weights alone are counted, and no file is made
                stored = counter_of("size", channels, current.module)()
                goal["size"] = (
                    stored * goal["size"] // (goal["size"] + (now["size"] - allowed["size"]) // steps)
                )
            pruned = _step(current, context, goal, ranking, channels=channels)
            channels = smaller_graph(current.module, pruned.channels, pruned.removed)
            between = RecoverOptions(kind="recover", epochs=self.options.epochs_between)
            current = Recover(between).apply(pruned.model, context)
            done.append((pruned, _said(step, pruned, current)))
        file_bytes = context.file_bytes if "size" in allowed else None
        pruned = _step(current, context, allowed, ranking, channels=channels, file_bytes=file_bytes)
        return _as_one(model, pruned, before, done)


def _step(
    model: Model,
    context: Context,
    allowed: Mapping[Resource, int],
    ranking: Ranking,
    *,
    channels: ChannelGraph,
    file_bytes: Callable[[Model], int] | None = None,
) -> Pruned:
    pruned = prune(
        model,
        allowed=allowed,
        multiple=context.target.channel_multiple,
        ranking=ranking,
        channels=channels,
        file_bytes=file_bytes,
    )
    if pruned.unkept:
        raise RejectedError(f"only its exported graph could be pruned: {pruned.unkept}")
    return pruned


def _said(step: int, pruned: Pruned, recovered: Model) -> str:
    """What one step on the way did, and what recovery gave back."""
    event, after = pruned.model.lineage[-1], recovered.lineage[-1].details
    accuracies = [
        "?" if after[key] is None else f"{100 * float(str(after[key])):.2f} %"
        for key in ("val_accuracy_before", "val_accuracy_after")
    ]
    return (
        f"step {step}: {event.details['macs_after']:,} MACs, masked difference {pruned.removal.difference:.1e}, "
        f"{metric_of(recovered.task).name} {' → '.join(accuracies)}"
    )


def _as_one(model: Model, pruned: Pruned, before: Mapping[str, int], done: list[tuple[Pruned, str]]) -> Model:
    """The model that all steps gave, with one event for them."""
    if not done:
        return pruned.model
    every = [*(step for step, _ in done), pruned]
    events = [step.model.lineage[-1] for step in every]
    removed = sum(len(step.removed) for step in every)
    details = {
        **events[-1].details,
        "macs_before": events[0].details["macs_before"],
        "channels_removed": removed,
        "masked_difference": max(step.removal.difference for step in every),
        "rewritten": next((step.removal.rewritten for step in every if step.removal.rewritten), ""),
        "pattern_lost": sorted(model.sparsity.keys() - pruned.model.sparsity.keys()),
        "widths": changed_widths(before, widths(pruned.channels, pruned.removed)),
        "steps": [said for _, said in done],
    }
    channels = sum(len(group.classes) for group in every[0].channels.groups)
    summary = f"{removed} channels of {channels} removed in {len(every)} steps"
    whole = Event(stage="prune", summary=summary, details=details)
    return replace(pruned.model, lineage=(*model.lineage, whole))
