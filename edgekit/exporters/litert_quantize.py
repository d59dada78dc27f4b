"""A float .tflite becomes an INT8 one with the scales that PyTorch decided, by ai-edge-quantizer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.litert_graph import Graph, read_graph
from edgekit.optional import load

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edgekit.model import ActivationScale


def quantize(
    content: bytes,
    scales: Mapping[int, ActivationScale],
    floats: Collection[int] = (),
    *,
    float_border: bool = True,
) -> bytes:
    """The INT8 file: weights per output channel, biases int32, activations as `scales` say, by tensor index.

    An operator that reads or computes a tensor without a scale stays float, and one that computes a tensor of `floats`.
    So do input and output with a `float_border`, a QUANTIZE and a DEQUANTIZE. Raises `MissingError` without
    ai-edge-quantizer.
    """
    # Not by its `Quantizer`, which first opens an interpreter, whose delegate announces itself to the user.
    read = load("ai_edge_quantizer.utils.tfl_flatbuffer_utils", extra="litert").read_model
    decide = load("ai_edge_quantizer.params_generator", extra="litert").ParamsGenerator
    rewrite = load("ai_edge_quantizer.model_modifier", extra="litert").ModelModifier
    graph, model = read_graph(content), read(memoryview(content))
    decisions = decide(model).generate_quantization_parameters(
        _recipe(_float_scopes(graph, scales, floats), float_border=float_border),
        _calibration(graph, scales),
        enable_progress_bar=False,
    )
    return bytes(rewrite(model).modify_model(decisions, enable_progress_bar=False))


def _recipe(float_scopes: list[str], *, float_border: bool) -> Any:
    recipes = load("ai_edge_quantizer.recipe_manager", extra="litert")
    names = load("ai_edge_quantizer.qtyping", extra="litert").TFLOperationName
    manager = recipes.RecipeManager()
    manager.add_static_config(".*", names.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for border in (names.INPUT, names.OUTPUT) if float_border else ():
        manager.add_quantization_config(".*", border, algorithm_key="no_quantize")
    for scope in float_scopes:
        manager.add_quantization_config(scope, names.ALL_SUPPORTED, algorithm_key="no_quantize")
    return manager


def _float_scopes(graph: Graph, scales: Mapping[int, ActivationScale], floats: Collection[int]) -> list[str]:
    """Expressions that find exactly the operators that stay float, by the names of their outputs."""
    return [
        f"^{re.escape(';'.join(graph.tensors[index].name for index in operator.outputs))};$"
        for operator in graph.operators
        if operator.outputs[0] in floats
        or any(tensor.index not in scales for tensor in (*graph.sources(operator), *graph.targets(operator)))
    ]


def _calibration(graph: Graph, scales: Mapping[int, ActivationScale]) -> dict[str, dict[str, Any]]:
    """The ranges from which the quantizer computes exactly these scales, as if it had calibrated."""
    ranges = {}
    for tensor in graph.activations:
        if scale := scales.get(tensor.index):
            low, high = -128 - scale.zero_point, 127 - scale.zero_point
            ranges[tensor.name] = {
                "min": np.array([low * scale.scale]),
                "max": np.array([high * scale.scale]),
            }
    return ranges
