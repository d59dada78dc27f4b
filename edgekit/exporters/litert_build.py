"""A `.tflite` of a model: the float graph through litert-torch; for INT8, PyTorch's scales on what comes out.

A float file with sparse tensors is TensorFlow's own converter's, of the same graph.
PT2E's quantized graph itself is not converted: that lost 6 dB and left islands of float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import EdgekitError
from edgekit.exporters.litert_convert import convert
from edgekit.exporters.litert_convert_sparse import convert_sparse
from edgekit.exporters.litert_graph import read_graph
from edgekit.exporters.litert_match import match
from edgekit.exporters.litert_names import rename
from edgekit.exporters.litert_quantize import quantize
from edgekit.exporters.litert_refusal import left_elsewhere, refuse_untaken
from edgekit.exporters.litert_run import verify_loads
from edgekit.exporters.litert_scales import resolve_scales
from edgekit.exporters.litert_verify import describe, verify_scales
from edgekit.exporters.litert_weights import float_outputs, integer_weights, settle_weights
from edgekit.exporters.litert_xnnpack import clamps_by_grid, swish_in_parts
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.reference import rounded_float_graph

if TYPE_CHECKING:
    from torch import fx

    from edgekit.exporters.litert_match import Nodes
    from edgekit.model import Model, Quantization
    from edgekit.target import Target


def build(model: Model, target: Target) -> tuple[bytes, list[str]]:
    """The file, which takes (N, H, W, C), and what a report should say of it.

    float32 goes in and comes out, but for an INT8 file of a target that takes integers alone. Raises `MissingError`
    without the LiteRT packages, `InputError` where the network has an operator that cannot be converted or that the
    target does not take, or a layer without scales, `EdgekitError` where the file is not the PyTorch network's.
    """
    if model.quantization is not None:
        return _integers(model, model.quantization, target)
    graph, shape = folded_graph(model), model.input_shape
    sparse = model.encoding == "sparse"
    content, notes = convert_sparse(graph, shape) if sparse else (convert(graph, shape), [])
    return rename(content, graph, _matched(graph, content, shape), ()), notes


def _matched(graph: fx.GraphModule, content: bytes, shape: tuple[int, int, int, int]) -> Nodes:
    """The nodes of each tensor; raises `EdgekitError` where outputs are not PyTorch's."""
    nodes = match(graph, content, shape)
    for index, node in zip(
        read_graph(content).outputs, graph.graph.output_node().all_input_nodes, strict=True
    ):
        if node.name not in nodes[index]:
            raise EdgekitError(
                f"the converter's file does not compute what PyTorch's {node.name} is",
                hint="the converter mistook an operator; choose a target with another runtime",
            )
    return nodes


def _integers(model: Model, quantization: Quantization, target: Target) -> tuple[bytes, list[str]]:
    """The INT8 file of a float one; it is read back and must hold PyTorch's integers and scales."""
    graph = rounded_float_graph(model)
    layers = integer_weights(graph, quantization)
    recorded = swish_in_parts(graph, quantization.activations, target)
    content = convert(graph, model.input_shape)
    nodes = _matched(graph, content, model.input_shape)
    content = rename(content, graph, nodes, recorded)
    before = read_graph(content)
    floats = float_outputs(before, graph, quantization)
    scales = resolve_scales(before, nodes, recorded, floats)
    integers = quantize(content, scales.of, floats, float_border=not target.integer_only)
    quantized = clamps_by_grid(settle_weights(integers, content, layers), target)
    after, known = read_graph(quantized), {node.name: node for node in graph.graph.nodes}
    refuse_untaken(after, known, target)
    verify_loads(quantized)
    verify_scales(after, {before.tensors[index].name: scale for index, scale in scales.of.items()})
    return quantized, [*describe(after), *left_elsewhere(after, known, target), *scales.notes]
