"""Whether calibration pictures are scaled as the network's own were: what nobody would notice but by accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.quantizer.fold import folded_batch_norms
from edgekit.quantizer.simulate import Walk

if TYPE_CHECKING:
    from torch import Tensor, fx

    from edgekit.model import Model
    from edgekit.quantizer.fold import FoldedNorm

_STRETCH = 3.0
"""How many times wider or narrower pictures may look to the first norm than those that it learnt from."""
_SHIFT = 1.5
"""By how many of its standard deviations they may be off."""


def doubt_about(model: Model, graph: fx.GraphModule, images: Tensor) -> str | None:
    """Why these pictures (n, C, H, W) may be scaled otherwise than those that the network was trained on, or None.

    Its first batch norm has kept what it saw: the mean and variance of each channel. A norm that has seen nothing
    (mean 0, variance 1 throughout), and a network without any, tells nothing.
    """
    norms = folded_batch_norms(model)
    for node in graph.graph.nodes:
        weight = node.args[1] if len(node.args) > 1 else None
        norm = norms.get(str(getattr(weight, "target", "")).removesuffix(".weight"))
        if norm is not None:
            return _compared(model, norm, _output(graph, node, images))
    return None


def _compared(model: Model, norm: FoldedNorm, outputs: Tensor) -> str | None:
    module = model.module
    mean, variance = (module.get_buffer(f"{norm.name}.running_{what}") for what in ("mean", "var"))
    if bool((mean == 0).all()) and bool((variance == 1).all()):
        return None
    stretch, shift = _seen_by(model, norm, variance, outputs)
    if 1 / _STRETCH <= stretch <= _STRETCH and shift <= _SHIFT:
        return None
    how = f"{stretch:.2g} times as spread" if shift <= _SHIFT else f"off by {shift:.1f} standard deviations"
    return (
        f"calibration pictures look {how} to {norm.name} as those that it was trained on: "
        "are they scaled and normalised as the network wants it (mean, std, 0 to 1 or 0 to 255)?"
    )


def _seen_by(model: Model, norm: FoldedNorm, variance: Tensor, outputs: Tensor) -> tuple[float, float]:
    """Medians over channels: spread now / spread then, and |mean now - mean then| / spread then.

    Behind the norm these were |gain| and bias, up to the epsilon. Channels that it has silenced tell nothing.
    """
    gain, bias = (model.module.get_parameter(f"{norm.name}.{what}").detach() for what in ("weight", "bias"))
    usual = gain.abs() * (variance / (variance + norm.epsilon)).sqrt()
    told = usual > 1e-3 * usual.max()
    channels = outputs.movedim(1, 0).flatten(1)
    stretch = channels.std(1)[told] / usual[told]
    shift = (channels.mean(1)[told] - bias[told]).abs() / usual[told]
    return float(stretch.median()), float(shift.median())


def _output(graph: fx.GraphModule, wanted: fx.Node, images: Tensor) -> Tensor:
    walk = Walk(graph)
    walk.begin(images)
    for node in graph.graph.nodes:
        value = walk.step(node)
        if node is wanted:
            break
    assert isinstance(value, torch.Tensor)
    return value
