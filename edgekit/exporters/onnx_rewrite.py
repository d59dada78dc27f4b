"""Changes to an ONNX graph that leave what it computes as it is, but for `to_half`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from edgekit.parity import Array

_QDQ = ("QuantizeLinear", "DequantizeLinear")


def forget_origins(model: onnx.ModelProto) -> None:
    """Stack traces, source paths, the exporter's version and notes: they differ from machine to machine."""
    graph = model.graph
    model.producer_name, model.producer_version = "edgekit", ""
    del graph.value_info[:]  # shapes of inner values follow from the inputs
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def pool_globally(model: onnx.ModelProto) -> None:
    """A mean over height and width as `GlobalAveragePool`: only that does ONNX Runtime compute on integers.

    Reads the shapes of inner values, which `forget_origins` drops.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in (*graph.input, *graph.value_info)}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        axes = constants.get(node.input[1]) if node.op_type == "ReduceMean" and len(node.input) == 2 else None
        if axes is None or ranks.get(node.input[0]) != 4 or sorted(axes % 4) != [2, 3]:
            nodes.append(node)
            continue
        source, name, (result,) = node.input[0], node.name, node.output
        if all(attribute.i for attribute in node.attribute if attribute.name == "keepdims"):
            nodes.append(helper.make_node("GlobalAveragePool", [source], [result], name))
        else:
            nodes.append(helper.make_node("GlobalAveragePool", [source], [f"{result}_pooled"], name))
            nodes.append(
                helper.make_node("Squeeze", [f"{result}_pooled", node.input[1]], [result], f"{name}_squeeze")
            )
    del graph.node[:]
    graph.node.extend(nodes)


def name_transposed(model: onnx.ModelProto, weights: Mapping[str, Array]) -> None:
    """Weights that the exporter turned, (in, out) for a product of tokens, and numbered, get their names back."""
    names = {weight.T.tobytes(): name for name, weight in weights.items() if weight.ndim == 2}
    known = {tensor.name for tensor in model.graph.initializer}
    found: dict[str, str] = {}
    for tensor in model.graph.initializer:
        if tensor.name in weights or len(tensor.dims) != 2:
            continue
        name = names.get(numpy_helper.to_array(tensor).tobytes())
        if name is not None and name not in known:
            found[tensor.name] = name
            tensor.name = name
            known.add(name)
    for node in model.graph.node:
        node.input[:] = [found.get(value, value) for value in node.input]


def name_after_layers(model: onnx.ModelProto) -> None:
    """Operators with weights get their layer's name (`features.0.0`), scales that of what they scale."""
    constants = {tensor.name for tensor in model.graph.initializer}
    producers = {node.output[0]: node for node in model.graph.node}
    names: dict[str, str] = {}
    uses: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type in _QDQ:
            for value, suffix in zip(node.input[1:], ("_scale", "_zero_point"), strict=False):
                names.setdefault(value, f"{node.input[0]}{suffix}")
    for node in model.graph.node:
        weight = node.input[1] if len(node.input) > 1 else ""
        if weight in producers and producers[weight].op_type == "DequantizeLinear":
            weight = producers[weight].input[0]
        if weight in constants and weight.endswith(".weight"):
            layer = weight.removesuffix(".weight")
            uses[layer] += 1  # names are unique, layers may be used again
            node.name = layer if uses[layer] == 1 else f"{layer}:{uses[layer]}"
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in model.graph.node:
        node.input[:] = [names.get(value, value) for value in node.input]


def make_unsigned(model: onnx.ModelProto) -> None:
    """Hold activations as uint8: 128 more in the integer and in the zero point is the same real value."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _QDQ and node.input[0] not in constants:
            signed = numpy_helper.to_array(constants[node.input[2]])
            node.input[2] += "_unsigned"
            shifted = (signed.astype(np.int16) + 128).astype(np.uint8)
            constants[node.input[2]] = numpy_helper.from_array(shifted, node.input[2])
    _keep_used(model, constants.values())


def drop_zero_points(model: onnx.ModelProto) -> None:
    """Weights that are dequantized without a zero point, where all of it is 0: that is what ONNX takes it for."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants and len(node.input) == 3:
            zero_point = constants.get(node.input[2])
            if zero_point is not None and not numpy_helper.to_array(zero_point).any():
                del node.input[2]
    _keep_used(model, constants.values())


def _keep_used(model: onnx.ModelProto, constants: Iterable[TensorProto]) -> None:
    used = {value for node in model.graph.node for value in node.input}
    kept = [tensor for tensor in constants if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph that computes in float16; input and output stay float32, behind two casts."""
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    sizes = {value for node in graph.node if node.op_type == "Resize" for value in node.input[1:]}
    for tensor in _float_tensors(half):
        if tensor.name not in sizes:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    (source,), (result,) = graph.input, graph.output
    for node in graph.node:
        node.input[:] = [f"{value}_fp16" if value == source.name else value for value in node.input]
        node.output[:] = [f"{value}_fp16" if value == result.name else value for value in node.output]
    into = helper.make_node("Cast", [source.name], [f"{source.name}_fp16"], "to_fp16", to=TensorProto.FLOAT16)
    back = helper.make_node("Cast", [f"{result.name}_fp16"], [result.name], "to_fp32", to=TensorProto.FLOAT)
    nodes = [into, *graph.node, back]
    del graph.node[:]
    graph.node.extend(nodes)
    return half


def _float_tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    constants = (node for node in model.graph.node if node.op_type == "Constant")
    inner = (attribute.t for node in constants for attribute in node.attribute if attribute.name == "value")
    return (tensor for tensor in (*model.graph.initializer, *inner) if tensor.data_type == TensorProto.FLOAT)
