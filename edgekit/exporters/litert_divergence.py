"""Where a .tflite and the PyTorch network part: compared tensor by tensor, in the order of computation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.exporters.layer_parity import LayerParity, compare_tensors
from edgekit.exporters.litert_graph import read_graph
from edgekit.exporters.litert_match import node_values
from edgekit.exporters.litert_names import node_of
from edgekit.exporters.litert_run import tensor_values
from edgekit.parity import batches_of
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.reference import quantized_graph

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import fx

    from edgekit.exporters.litert_graph import Array
    from edgekit.model import Model

_QUANTIZERS = (
    torch.ops.quantized_decomposed.quantize_per_tensor.default,
    torch.ops.quantized_decomposed.dequantize_per_tensor.default,
)


def tensor_parity(model: Model, path: Path, images: Array) -> list[LayerParity]:
    """Every tensor of `path` that is a node of the PyTorch graph, in order of computation; the worst batch's.

    `images` is (n, C, H, W) float32. The reference is the quantized graph, or the folded float one of a model
    that is not quantized; where it quantizes a node's result, the quantized values are compared.
    """
    content = path.read_bytes()
    reference = folded_graph(model) if model.quantization is None else quantized_graph(model)
    batches = batches_of(images, model.input_shape[0])
    runs = [
        list(_compare(node_values(reference, batch), values, reference, content))
        for batch, values in zip(batches, tensor_values(content, batches), strict=True)
    ]
    return [min(versions, key=lambda layer: layer.sqnr_db) for versions in zip(*runs, strict=True)]


def _compare(
    expected: dict[str, Array], values: dict[int, Array], reference: fx.GraphModule, content: bytes
) -> Iterator[LayerParity]:
    seen, graph = set(), read_graph(content)
    nodes = {node.name: node for node in reference.graph.nodes}
    integers = {node_of(tensor.name) for tensor in graph.activations if tensor.dtype == "INT8"}
    for tensor in graph.activations:
        name = node_of(tensor.name)
        border = tensor.dtype != "INT8" and name in integers
        if border or name not in expected or name in seen:
            continue
        layouts = _layouts(expected[_final(nodes[name]).name], values[tensor.index].shape)
        if layouts:
            seen.add(name)
            yield max(
                (compare_tensors(name, layout, values[tensor.index]) for layout in layouts), key=_decibels
            )


def _final(node: fx.Node) -> fx.Node:
    """The node whose value is the integer's: behind quantize and dequantize, where the graph has them."""
    for target in _QUANTIZERS:
        following = [user for user in node.users if user.target is target]
        node = following[0] if following else node
    return node


def _layouts(value: Array, shape: tuple[int, ...]) -> list[Array]:
    """The value as the file may hold it: as it is or channel-last, sizes of one put in or left out."""
    channel_last = [value.transpose(0, 2, 3, 1)] if value.ndim == 4 else []
    longer = tuple(size for size in shape if size != 1)
    return [
        layout.reshape(shape)
        for layout in (value, *channel_last)
        if tuple(size for size in layout.shape if size != 1) == longer
    ]


def _decibels(layer: LayerParity) -> float:
    return layer.sqnr_db
