"""The PT2E quantizer: puts a placement's decisions on the nodes of a graph, for torchao to carry out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from edgekit.quantizer.graphs import operand
from edgekit.quantizer.observers import PerChannelFakeQuantize, PerChannelGrid
from edgekit.quantizer.placement import Placement, place
from edgekit.quantizer.quiet import quiet_torch
from edgekit.quantizer.weights import HIGHEST, highest_scale, scales_in

with quiet_torch():
    from torchao.quantization.pt2e.quantizer import (
        FixedQParamsQuantizationSpec,
        QuantizationAnnotation,
        QuantizationSpec,
        QuantizationSpecBase,
        Quantizer,
    )
    from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import fx

    from edgekit.model import ActivationScale
    from edgekit.target import Int8Rules

_ACTIVATION = {"dtype": torch.int8, "quant_min": -128, "quant_max": 127, "qscheme": torch.per_tensor_affine}
_WEIGHT = {
    "dtype": torch.int8,
    "quant_min": -HIGHEST,
    "quant_max": HIGHEST,
    "qscheme": torch.per_channel_symmetric,
}


class Grids(Protocol):
    """How tensors are to be rounded, once it is decided which."""

    def activation(self, node: fx.Node, leader: fx.Node) -> QuantizationSpecBase | None:
        """For the output of `node`, which has the scale of `leader`; None leaves it float."""
        ...

    def weight(self, graph: fx.GraphModule, operator: fx.Node, axis: int) -> QuantizationSpecBase | None:
        """For the weight of `operator`; None leaves it float."""
        ...


class Decided:
    """Conversion: the scales of a `Quantization`, and the weights' own."""

    def __init__(self, activations: Mapping[str, ActivationScale]) -> None:
        self.activations = activations

    def activation(self, node: fx.Node, leader: fx.Node) -> QuantizationSpecBase:  # noqa: ARG002
        """The decided scale of that node."""
        grid = self.activations[node.name]
        return FixedQParamsQuantizationSpec(scale=grid.scale, zero_point=grid.zero_point, **_ACTIVATION)

    def weight(self, graph: fx.GraphModule, operator: fx.Node, axis: int) -> QuantizationSpecBase:
        """Per output channel."""
        scales = scales_in(graph, operator, axis, self.activations)
        return QuantizationSpec(
            observer_or_fake_quant_ctr=PerChannelGrid.with_args(scales=scales), ch_axis=axis, **_WEIGHT
        )


class Trained(Decided):
    """Quantization-aware training: decided scales, weights rounded as they are at each step."""

    def weight(self, graph: fx.GraphModule, operator: fx.Node, axis: int) -> QuantizationSpecBase:  # noqa: ARG002
        """Per output channel, anew at each step."""
        rounding = PerChannelFakeQuantize.with_args(highest=highest_scale(operator, self.activations))
        return QuantizationSpec(observer_or_fake_quant_ctr=rounding, ch_axis=axis, **_WEIGHT)


class Int8Quantizer(Quantizer):  # type: ignore[misc]
    """Annotates a folded graph by a target's rules; `placement` can be read once torchao has called it."""

    def __init__(self, rules: Int8Rules, grids: Grids, floats: Collection[str] = ()) -> None:
        super().__init__()
        self.rules = rules
        self.grids = grids
        self.floats = floats
        self.placement = Placement()

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Every integer activation is rounded where it is computed, every weight where it is read."""
        self.placement = place(model, self.rules, self.floats)
        for node, leader in self.placement.leaders.items():
            if (spec := self.grids.activation(node, leader)) is not None:
                _annotation(node).output_qspec = spec
        for node, axis in self.placement.channel_axes.items():
            if (spec := self.grids.weight(model, node, axis)) is not None:
                _annotation(node).input_qspec_map[operand(node, 1)] = spec
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """Nothing to check: whatever was not annotated stays float."""


def _annotation(node: fx.Node) -> QuantizationAnnotation:
    annotation = node.meta.setdefault(Q_ANNOTATION_KEY, QuantizationAnnotation(_annotated=True))
    assert isinstance(annotation, QuantizationAnnotation)
    return annotation
