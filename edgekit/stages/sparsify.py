"""`Sparsify`: zeros in a pattern, on the layers that can carry it, at once or while the network trains.

Whole channels, which no kernel exploits before they are pruned, are trained: see `sparsify_channels.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from edgekit.errors import unknown
from edgekit.graph.importance import taylor
from edgekit.graph.receptive_field import receptive_fields, taps_left, widest
from edgekit.graph.trace import trace
from edgekit.model import Event, Model
from edgekit.patterns import density, pattern_of
from edgekit.recipe import SparsifyOptions
from edgekit.stages import Context, RejectedError, need_labels
from edgekit.stages.evidence import evidence_of
from edgekit.stages.gradual import Gradual
from edgekit.stages.recover import distil
from edgekit.stages.sparsify_channels import sparsify_channels
from edgekit.stages.sparsity import project
from edgekit.stages.training import DivergedError, recalibrate
from edgekit.target import SparsitySupport, Target

Weighted = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class Sparsify:
    """Zeros by magnitude or first-order Taylor in a pattern of `edgekit.patterns`, or channels trained towards zero."""

    options: SparsifyOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The model with the pattern in every layer that can carry it, its batch norms taken anew.

        Raises `RejectedError` where the target exploits no pattern, no layer can carry it, or the network did not live
        through it, and `InputError` for names of layers that the network has not.
        """
        need_labels(context)
        if self.options.pattern == "channel":
            return sparsify_channels(model, self.options, context)
        kernels = context.target.sparse_kernels(int8=context.quantizes)
        support = _support(context.target, kernels, self.options.pattern_text)
        can, cannot = sort_layers(model.module, support, self.options.layers)
        if not can:
            raise RejectedError(f"no layer can carry {support.pattern}")
        module, sparsity = copy.deepcopy(model.module), dict.fromkeys(can, support.pattern)
        if self.options.schedule == "once":
            project(module, sparsity, self._scores(model, context))
        else:
            penalty = Gradual(module, sparsity, self.options)
            try:
                distil(module, model, context, self.options, title="sparsify", penalty=penalty)
            except DivergedError as error:  # layers that died: the run can go on without these zeros
                raise RejectedError(
                    f"{error.what}: {support.pattern} leaves too little of some layers"
                ) from error
        if context.data.train is not None:
            recalibrate(module, context.data.train, context.torch_device)
        exploited = any(each.covers(support.pattern) for each in kernels)
        event = _event(model, module, support, (can, cannot), exploited=exploited)
        return model.after(event, module=module.eval(), sparsity={**model.sparsity, **sparsity})

    def _scores(self, model: Model, context: Context) -> Mapping[str, Tensor] | None:
        if self.options.selection == "magnitude":
            return None
        return taylor.of_weights(model.module, evidence_of(context.data, model.task, self.options.samples))


def _support(target: Target, kernels: tuple[SparsitySupport, ...], pattern: str) -> SparsitySupport:
    """What the target has for a pattern; raises `RejectedError` where it should choose one and has none."""
    if pattern == "target":
        if not kernels:
            why = f": {target.dense_because}" if target.dense_because else ""
            raise RejectedError(f"{target.runtime} on {target.id} exploits no sparsity pattern{why}")
        return kernels[0]
    known = next((support for support in kernels if support.covers(pattern)), None)
    if known is not None:
        return known.model_copy(update={"pattern": pattern})
    return SparsitySupport(
        pattern=pattern,
        operators=("conv", "linear"),
        note=f"{target.runtime} on {target.id} has no kernels for {pattern}: it can only save size",
    )


def weighted_layers(module: nn.Module) -> dict[str, Weighted]:
    """The convolutions and linear layers, by the network's own names."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, Weighted)}


def sort_layers(
    module: nn.Module, support: SparsitySupport, names: tuple[str, ...] = ()
) -> tuple[list[str], dict[str, str]]:
    """The layers that can carry the pattern, and for each other one why it cannot."""
    weighted = weighted_layers(module)
    asked = _asked(names, list(weighted))
    reasons = {
        name: obstacle(layer, support) if not names or name in asked else "not asked for"
        for name, layer in weighted.items()
    }
    return [name for name, why in reasons.items() if not why], {
        name: why for name, why in reasons.items() if why
    }


def _asked(names: tuple[str, ...], weighted: list[str]) -> set[str]:
    """The layers of these names or blocks; raises `InputError` for one that holds none."""
    found: set[str] = set()
    for name in names:
        own = {layer for layer in weighted if f"{layer}.".startswith(f"{name}.")}
        if not own:
            raise unknown("layer", name, weighted)
        found |= own
    return found


def obstacle(layer: Weighted, support: SparsitySupport) -> str:
    """Why a layer cannot carry the pattern with a gain, or an empty text."""
    conv = layer if isinstance(layer, nn.Conv2d) else None
    operator = "linear" if conv is None else "conv"
    shape = tuple(layer.weight.shape)
    if operator not in support.operators:
        return f"no sparse kernels for {operator}"
    if reason := pattern_of(support.pattern).obstacle(shape, 1 if conv is None else conv.groups):
        return reason
    if support.pointwise and conv is not None and (set(shape[2:]) != {1} or set(conv.stride) != {1}):
        return "no sparse kernels but for 1×1 convolutions of stride 1"
    if min(shape[:2]) < support.min_channels:
        return f"{shape[1]}→{shape[0]} channels: under {support.min_channels}, no gain"
    return ""


def _event(
    model: Model,
    module: nn.Module,
    support: SparsitySupport,
    sorted_layers: tuple[list[str], dict[str, str]],
    *,
    exploited: bool,
) -> Event:
    can, cannot = sorted_layers
    graph = trace(module, model.input_shape)
    seen = [widest(receptive_fields(graph, taps)) for taps in ({}, taps_left(module))]
    weights = [module.get_parameter(f"{layer}.weight").detach().numpy() for layer in can]
    share = sum(density(weight) * weight.size for weight in weights) / sum(weight.size for weight in weights)
    return Event(
        stage="sparsify",
        summary=f"{support.pattern} on {len(can)} of {len(can) + len(cannot)} weighted layers",
        details={
            "pattern": support.pattern,
            "layers": can,
            "without": cannot,
            "density": share,
            "receptive_field": " → ".join(f"{rows} × {columns}" for rows, columns in seen),
            "target_exploits_it": exploited,
            "note": support.note,
        },
    )
