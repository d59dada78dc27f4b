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

quantization = tfmot.quantization.keras
KNOWN = (
    *(keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense, keras.layers.BatchNormalization),
    *(keras.layers.ReLU, keras.layers.Add, keras.layers.Multiply, keras.layers.Concatenate),
    *(keras.layers.MaxPooling2D, keras.layers.AveragePooling2D, keras.layers.GlobalAveragePooling2D),
)
"""Layers that its 8-bit scheme rounds; what Keras has no layer for passes its inputs' values on."""


def quantize(
    model: Any, description: Description, folder: Path, job: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The trained network without its rounding, and which layers were rounded."""
    kept = {layer.name: layer.get_weights()[0] != 0 for layer in _with_kernels(model, description)}

    def annotate(layer: Any) -> Any:
        return quantization.quantize_annotate_layer(layer) if type(layer) in KNOWN else layer

    annotated = keras.models.clone_model(model, clone_function=annotate)
    with quantization.quantize_scope(OPERATORS):
        rounded = quantization.quantize_apply(annotated, _scheme(zeros=job["method"]["keep_zeros"]))
    loss = train(rounded, folder, job, [])
    plain = build(description)
    for _, layers in weighted(plain, description):
        for layer in layers:
            layer.set_weights(_trained(rounded, layer, kept))
    return plain, {"layers": sorted(kept), "without": {}, "loss": loss}


def _scheme(*, zeros: bool) -> Any:
    if zeros:
        return tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme()
    return tfmot.quantization.keras.default_8bit.Default8BitQuantizeScheme()


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
