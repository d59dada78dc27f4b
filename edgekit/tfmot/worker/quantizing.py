"""TF-MOT's quantization-aware training: weights learn to be rounded; the scales of a file are decided elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot

from .described import Description
from .keras import keras
from .network import build
from .operators import OPERATORS
from .training import train
from .weights import weighted
from .wrapping import wrapped

quantization = tfmot.quantization.keras
WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
OTHERS = (
    *(keras.layers.ReLU, keras.layers.Add, keras.layers.Concatenate),
    *(keras.layers.MaxPooling2D, keras.layers.AveragePooling2D, keras.layers.GlobalAveragePooling2D),
)
"""Layers beside those with weights that its 8-bit scheme rounds; all that it does not know computes in float."""


def quantize(
    model: Any, description: Description, folder: Path, job: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The trained network without its rounding, and which layers were rounded."""
    kept = {layer.name: layer.get_weights()[0] != 0 for layer in _with_kernels(model, description)}
    names = {layer.name for layer in model.layers if _is_rounded(layer)}
    annotated = wrapped(model, names, quantization.quantize_annotate_layer)
    with quantization.quantize_scope(OPERATORS):
        rounded = quantization.quantize_apply(
            annotated, ZerosKept() if job["method"]["keep_zeros"] else PLAIN
        )
    loss = train(rounded, folder, job, [])
    plain = build(description)
    for _, layers in weighted(plain, description):
        for layer in layers:
            layer.set_weights(_trained(rounded, layer, kept))
    trained = [operator["name"] for operator in description if operator["op"] in ("conv2d", "linear")]
    return plain, {"layers": trained, "without": {}, "loss": loss}


def _is_rounded(layer: Any) -> bool:
    """Of batch norms those that are folded: right behind a layer with weights that nothing else reads."""
    if type(layer) is not keras.layers.BatchNormalization:
        return type(layer) in (*WEIGHTED, *OTHERS)
    before = layer.inbound_nodes[0].inbound_layers
    return type(before) in WEIGHTED and len(before.outbound_nodes) == 1


class ZerosKept(tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme):  # type: ignore[misc]
    """Its registry claims every layer without weights, and then fails on those that it does not know."""

    def get_quantize_registry(self) -> Any:
        """The one that keeps zeros, for layers that the plain one knows."""
        registry, plain = super().get_quantize_registry(), PLAIN.get_quantize_registry()
        claims = registry.supports
        registry.supports = lambda layer: claims(layer) and plain.supports(layer)
        return registry


PLAIN = quantization.default_8bit.Default8BitQuantizeScheme()


def _with_kernels(model: Any, description: Description) -> list[Any]:
    return [
        layer
        for operator, layers in weighted(model, description)
        if operator["op"] in ("conv2d", "linear")
        for layer in layers
    ]


def _trained(rounded: Any, layer: Any, kept: dict[str, Any]) -> list[Any]:
    """A layer's weights, in its order, out of the wrapper that held them; zeros where it began with zeros."""
    wrapper = next(each for each in rounded.layers if each.name in (layer.name, f"quant_{layer.name}"))
    if layer.name not in kept:
        inner = getattr(wrapper, "layer", wrapper)
        return list(inner.get_weights())
    found = {variable.name.rpartition("/")[2].partition(":")[0]: variable for variable in wrapper.weights}
    names = [variable.name.rpartition("/")[2].partition(":")[0] for variable in layer.weights]
    values = [found[name].numpy() for name in names]
    return [np.where(kept[layer.name], values[0], 0), *values[1:]]
