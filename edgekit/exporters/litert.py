"""LiteRT: the float graph through litert-torch, and for INT8 PyTorch's own scales through ai-edge-quantizer.

PT2E's quantized graph itself is not converted: that lost 6 dB and left islands of float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.artifact import TensorSpec
from edgekit.errors import EdgekitError
from edgekit.exporters import Counts, Written
from edgekit.exporters.litert_convert import convert
from edgekit.exporters.litert_counts import litert_counts
from edgekit.exporters.litert_divergence import first_divergence
from edgekit.exporters.litert_graph import Graph, read_graph
from edgekit.exporters.litert_match import match
from edgekit.exporters.litert_names import rename
from edgekit.exporters.litert_quantize import quantize
from edgekit.exporters.litert_run import verify_loads
from edgekit.exporters.litert_scales import resolve_scales
from edgekit.exporters.litert_verify import describe, verify_scales
from edgekit.exporters.litert_weights import integer_weights, settle_weights
from edgekit.files import write_bytes
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.reference import rounded_float_graph

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import fx

    from edgekit.exporters.litert_match import Nodes
    from edgekit.exporters.litert_weights import LayerWeights
    from edgekit.model import ActivationScale, Model
    from edgekit.target import Target

__all__ = ["count", "export", "first_divergence"]

MODEL_FILE = "model.tflite"
_LAYOUTS = {4: "NHWC", 2: "NC"}


def export(model: Model, target: Target, folder: Path) -> Written:  # noqa: ARG001 (all exporters take it)
    """Write `model.tflite`, float32 or INT8 as the model is; it takes (1, H, W, C) float32.

    Raises `MissingError` without the LiteRT packages, `InputError` where the network has an operator that
    cannot be converted or a layer without scales, `EdgekitError` where the file is not the PyTorch network's.
    """
    rounded = folded_graph(model) if model.quantization is None else rounded_float_graph(model)
    shape = (1, *model.input_shape[1:])
    content = convert(rounded, shape)
    nodes = match(rounded, content, shape)
    _check_outputs(rounded, read_graph(content), nodes)
    recorded = {} if model.quantization is None else model.quantization.activations
    content = rename(content, rounded, nodes, recorded)
    notes: list[str] = []
    if model.quantization is not None:
        layers = integer_weights(rounded, model.quantization)
        content, notes = _to_integers(content, nodes, layers, recorded)
    write_bytes(folder / MODEL_FILE, content)
    graph = read_graph(content)
    return Written(
        model_file=MODEL_FILE,
        inputs=_specs(graph, graph.inputs),
        outputs=_specs(graph, graph.outputs),
        files=(MODEL_FILE,),
        notes=tuple(notes),
    )


def count(path: Path) -> Counts:
    """The integer convolutions and linear layers of a .tflite file; raises `InputError` where it is none."""
    counted = litert_counts(path)
    return Counts(counted.integer_operators, counted.integer_operators + counted.float_operators)


def _check_outputs(expected: fx.GraphModule, graph: Graph, nodes: Nodes) -> None:
    for index, node in zip(graph.outputs, expected.graph.output_node().all_input_nodes, strict=True):
        if node.name not in nodes[index]:
            raise EdgekitError(
                f"litert-torch's file does not compute what PyTorch's {node.name} is",
                hint="the converter mistook an operator; choose a target with another runtime",
            )


def _to_integers(
    float_content: bytes,
    nodes: Nodes,
    layers: list[LayerWeights],
    recorded: Mapping[str, ActivationScale],
) -> tuple[bytes, list[str]]:
    """The INT8 file, read back and found to hold PyTorch's integers and scales, and notes on it."""
    float_graph = read_graph(float_content)
    scales = resolve_scales(float_graph, nodes, recorded)
    content = settle_weights(quantize(float_content, scales.of), float_content, layers)
    verify_loads(content)
    graph = read_graph(content)
    verify_scales(graph, {float_graph.tensors[index].name: scale for index, scale in scales.of.items()})
    return content, [*describe(graph), *scales.notes]


def _specs(graph: Graph, indices: tuple[int, ...]) -> tuple[TensorSpec, ...]:
    tensors = [graph.tensors[index] for index in indices]
    return tuple(
        TensorSpec(
            name=tensor.name,
            shape=tensor.shape,
            dtype=tensor.dtype.lower(),
            layout=_LAYOUTS.get(len(tensor.shape), "N" + "?" * (len(tensor.shape) - 1)),
        )
        for tensor in tensors
    )
