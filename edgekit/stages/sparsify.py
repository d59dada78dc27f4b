"""`Sparsify`: zeros in the pattern that the target's kernels exploit, on the layers that can carry it.

Whole channels, which no kernel exploits before they are pruned, are trained: see `sparsify_channels.py`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import nn

from edgekit.model import Event, Model
from edgekit.recipe import SparsifyOptions
from edgekit.stages import Context, RejectedError, need_labels
from edgekit.stages.sparsify_channels import sparsify_channels
from edgekit.stages.sparsity import parse, project
from edgekit.stages.training import recalibrate
from edgekit.target import SparsitySupport, Target


@dataclass(frozen=True)
class Sparsify:
    """Magnitude projection onto N:M along input channels (Mishra et al. 2021), or channels trained towards zero."""

    options: SparsifyOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The model with the pattern in every layer that can carry it.

        Raises `RejectedError` where the target exploits no pattern, or no layer can carry it.
        """
        need_labels(context)
        if self.options.pattern == "channel":
            return sparsify_channels(model, self.options, context)
        support = _support(context.target, self.options.pattern)
        can, cannot = _sort_layers(model.module, support)
        if not can:
            raise RejectedError(f"no layer can carry {support.pattern}")
        module = copy.deepcopy(model.module)
        sparsity = dict.fromkeys(can, support.pattern)
        project(module, sparsity)
        if context.data.train is not None:
            recalibrate(module, context.data.train, context.torch_device)
        exploited = any(support.pattern == known.pattern for known in context.target.sparsity)
        event = Event(
            stage="sparsify",
            summary=f"{support.pattern} on {len(can)} of {len(can) + len(cannot)} weighted layers",
            details={
                "pattern": support.pattern,
                "layers": can,
                "without": cannot,
                "target_exploits_it": exploited,
                "note": support.note,
            },
        )
        return model.after(event, module=module, sparsity={**model.sparsity, **sparsity})


def _support(target: Target, pattern: str) -> SparsitySupport:
    if pattern == "target":
        if not target.sparsity:
            raise RejectedError(f"{target.runtime} on {target.id} exploits no sparsity pattern")
        return target.sparsity[0]
    known = next((support for support in target.sparsity if support.pattern == pattern), None)
    return known or SparsitySupport(
        pattern=pattern,
        operators=("conv", "linear"),
        note=f"{target.runtime} on {target.id} has no kernels for {pattern}: it can only save size",
    )


def _sort_layers(module: nn.Module, support: SparsitySupport) -> tuple[list[str], dict[str, str]]:
    """The layers that can carry the pattern, and for each other one why it cannot."""
    can: list[str] = []
    cannot: dict[str, str] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            reason = _obstacle(layer, support)
            if reason:
                cannot[name] = reason
            else:
                can.append(name)
    return can, cannot


def _obstacle(layer: nn.Conv2d | nn.Linear, support: SparsitySupport) -> str:
    """Why a layer cannot carry the pattern, or an empty text."""
    operator = "conv" if isinstance(layer, nn.Conv2d) else "linear"
    outputs, inputs = layer.weight.shape[:2]
    if operator not in support.operators:
        return f"no sparse kernels for {operator}"
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        return "depthwise" if layer.groups == layer.in_channels else "grouped"
    if inputs % parse(support.pattern)[1]:
        return f"{inputs} input channels are no multiple of {parse(support.pattern)[1]}"
    if min(outputs, inputs) < support.min_channels:
        return f"{inputs}→{outputs} channels: under {support.min_channels}, no gain"
    return ""
