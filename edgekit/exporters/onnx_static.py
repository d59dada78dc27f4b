"""An ONNX file as a `FileGraph`, for its static cost: read, not run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from edgekit import optional
from edgekit.errors import InputError
from edgekit.exporters.file_steps import (
    ACTIVATIONS,
    ARITHMETIC,
    RESIZED,
    Steps,
    cuts,
    padding,
    same_padding,
    uncounted,
)
from edgekit.exporters.onnx_read import OnnxFile
from edgekit.graph.file_graph import FileGraph, Operation, Value

_UNCOUNTED = (
    *("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DeformConv", "Einsum"),
    *("Attention", "LSTM", "GRU", "RNN", "If", "Loop", "Scan"),
)
_SAME_SIZE = ("SAME_UPPER", "SAME_LOWER")


def file_graph(path: Path) -> FileGraph:
    """The operators of a file, for a batch of one where it leaves the batch open.

    Raises `MissingError` without onnx, `InputError` where sizes are open or products unknown.
    """
    onnx = optional.load("onnx", extra="onnx")
    decode_error = optional.load("google.protobuf.message", extra="onnx").DecodeError
    try:
        model = onnx.load(str(path))
        _close_batch(model, path)
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError) as error:
        raise InputError(f"{path} cannot be read as ONNX: {str(error).splitlines()[0]}") from error
    except decode_error as error:
        raise InputError(f"{path} is not an ONNX file") from error
    return _Reader(OnnxFile(model), path).read()


def _close_batch(model: Any, path: Path) -> None:
    """Give an open batch the size 1, and forget what the file says of sizes inside, which may name it."""
    held = {tensor.name for tensor in model.graph.initializer}
    del model.graph.value_info[:]
    for value in model.graph.input:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if value.name in held or size.dim_value > 0:
                continue
            if axis:
                raise InputError(
                    f"{path}: the size of input {value.name} is open along axis {axis}",
                    hint="export the file for a fixed size",
                )
            size.dim_value = 1
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


class _Reader:
    """Reads one file."""

    def __init__(self, file: OnnxFile, path: Path) -> None:
        self.file, self.path, self.steps = file, path, Steps()
        graph = file.model.graph
        self.shapes = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
        self.steps.constants.update(file.constants)
        self.sizes = {
            name: Value(tuple(array.shape), array.dtype.itemsize) for name, array in file.constants.items()
        }

    def read(self) -> FileGraph:
        inputs = [
            value.name for value in self.file.model.graph.input if value.name not in self.file.constants
        ]
        for name in inputs:
            self.steps.values[name] = self._value(name)
        for node in self.file.nodes:
            self._read(node)
        return self.steps.graph(inputs, [value.name for value in self.file.model.graph.output])

    def _read(self, node: Any) -> None:
        if node.op_type == "Shape" or all(not name or name in self.steps.constants for name in node.input):
            self.steps.constants.update(node.output)  # known before any run
            self._follow(node)
            return
        if node.op_type in _UNCOUNTED:
            raise uncounted(node.op_type, node.name)
        for name in filter(None, node.output):
            self.steps.values[name] = self._value(name)
        rule = _RULES.get(node.op_type)
        if rule is not None:
            rule(self, node)
        elif node.op_type in ARITHMETIC:
            inputs, output = list(node.input), node.output[0]
            self.steps.arithmetic(ARITHMETIC[node.op_type], node.name, inputs, output, self.sizes)
        else:
            self._plain(ACTIVATIONS.get(node.op_type, node.op_type.lower()), node)

    def _follow(self, node: Any) -> None:
        """A constant that others are made of (dequantized, turned) counts once, at the size that it is stored in."""
        if node.input and node.input[0] in self.sizes and node.output[0] in self.shapes:
            stored = self.sizes[node.input[0]]
            self.sizes[node.output[0]] = Value(self._value(node.output[0]).shape, stored.width)

    def _value(self, name: str) -> Value:
        kind = self.shapes[name].type.tensor_type if name in self.shapes else None
        if (
            kind is None
            or not kind.HasField("shape")
            or any(not size.HasField("dim_value") for size in kind.shape.dim)
        ):
            raise InputError(
                f"{self.path}: the size of {name} cannot be inferred", hint="export the file for fixed sizes"
            )
        dtype = optional.load("onnx.helper", extra="onnx").tensor_dtype_to_np_dtype(kind.elem_type)
        return Value(tuple(size.dim_value for size in kind.shape.dim), dtype.itemsize)

    def _attributes(self, node: Any) -> dict[str, Any]:
        get = optional.load("onnx.helper", extra="onnx").get_attribute_value
        return {attribute.name: get(attribute) for attribute in node.attribute}

    def _numbers(self, node: Any, place: int, name: str) -> list[int] | None:
        """What is an attribute in old opsets and a constant input in new ones."""
        if len(node.input) > place and node.input[place] in self.file.constants:
            return [int(value) for value in self.file.constants[node.input[place]].reshape(-1)]
        found = self._attributes(node).get(name)
        return None if found is None else [int(value) for value in found]

    def _plain(self, operator: str, node: Any, arguments: dict[str, Any] | None = None) -> None:
        """Of activations, and of constants those that are weights by their place (slopes, norms)."""
        moved = [name for name in node.input if name and name not in self.steps.constants]
        self.steps.add(
            Operation(
                operator, self._layer(node), tuple(moved), tuple(filter(None, node.output)), arguments or {}
            )
        )

    def _layer(self, node: Any, weight: str = "") -> str:
        behind = self.file.constant_behind(weight) if weight else None
        named = behind is not None and behind.endswith(".weight")
        return str(behind).removesuffix(".weight") if named else str(node.name or node.output[0])

    def _weighted(self, operator: str, node: Any, shape: tuple[int, ...], arguments: dict[str, Any]) -> None:
        """An operator whose second input are weights, and whose third, if any, is a bias."""
        weight = node.input[1]
        self.steps.parameter(weight, Value(shape, self.sizes[weight].width))
        biases = [
            self.steps.parameter(name, self.sizes[name]) for name in node.input[2:3] if name in self.sizes
        ]
        inputs = (node.input[0], weight, *biases)
        layer = self._layer(node, weight)
        self.steps.add(Operation(operator, layer, inputs, (node.output[0],), arguments, weight))

    def convolution(self, node: Any, name: str = "conv") -> None:
        found = self._attributes(node)
        if node.input[1] not in self.sizes:
            raise uncounted(f"{node.op_type} with computed weights", node.name)
        shape = self.sizes[node.input[1]].shape
        axes = len(shape) - 2
        dilation = list(found.get("dilations", [1] * axes))
        pads = list(found.get("pads", [0] * 2 * axes))
        if found.get("auto_pad", b"NOTSET").decode() in _SAME_SIZE:
            pads = same_padding(dilation, shape[2:])
        arguments = {
            "stride": list(found.get("strides", [1] * axes)),
            "padding": pads[:axes],
            "dilation": dilation,
            "groups": int(found.get("group", 1)),
        }
        self._weighted(f"{name}{axes}d", node, shape, arguments)

    def product(self, node: Any) -> None:
        right = node.input[1]
        if right not in self.sizes or len(self.sizes[right].shape) != 2:
            if self._attributes(node).get("transA"):
                raise uncounted("Gemm with a turned left side", node.name)
            inputs = list(filter(None, node.input))
            self.steps.product(self._layer(node), inputs, node.output[0], self.sizes, kind=node.op_type)
            return
        shape = self.sizes[right].shape
        turned = bool(self._attributes(node).get("transB"))
        self._weighted("linear", node, shape if turned else shape[::-1], {})

    def pooling(self, node: Any, operator: str) -> None:
        found = self._attributes(node)
        kernel = list(found["kernel_shape"])
        arguments = {
            "kernel_size": kernel,
            "stride": list(found.get("strides", [1] * len(kernel))),
            "padding": list(found.get("pads", [0] * len(kernel)))[: len(kernel)],
            "dilation": list(found.get("dilations", [1] * len(kernel))),
        }
        self._plain(operator, node, arguments)

    def mean(self, node: Any) -> None:
        self._plain("mean", node, {"dim": self._numbers(node, 1, "axes")})

    def permute(self, node: Any) -> None:
        rank = len(self.steps.values[node.output[0]].shape)
        order = self._attributes(node).get("perm", range(rank)[::-1])
        self._plain("permute", node, {"dims": list(order)})

    def cat(self, node: Any) -> None:
        self._plain("cat", node, {"dim": int(self._attributes(node)["axis"])})

    def slice(self, node: Any) -> None:
        shape = self.steps.values[node.input[0]].shape
        output = self.steps.values[node.output[0]]
        starts = self._numbers(node, 1, "starts") or []
        axes = self._numbers(node, 3, "axes") or list(range(len(starts)))
        steps = self._numbers(node, 4, "steps") or [1] * len(starts)
        told = cuts(shape, output.shape, axes, starts, steps)
        self.steps.slices(node.name, node.input[0], node.output[0], told, width=output.width)

    def pad(self, node: Any) -> None:
        sizes = self._numbers(node, 1, "pads") or []
        half = len(sizes) // 2
        self._plain("pad", node, {"pad": padding(sizes[:half], sizes[half:])})

    def resize(self, node: Any) -> None:
        self._plain(RESIZED[self._attributes(node).get("mode", b"nearest").decode()], node)

    def unshuffle(self, node: Any) -> None:
        self._plain("pixel_unshuffle", node, {"downscale_factor": int(self._attributes(node)["blocksize"])})

    def norm(self, node: Any, operator: str) -> None:
        """Scale and shift are parameters; running statistics are not."""
        held = [
            self.steps.parameter(name, self.sizes[name]) for name in node.input[1:3] if name in self.sizes
        ]
        layer, inputs = self._layer(node, node.input[1]), (node.input[0], *held)
        self.steps.add(Operation(operator, layer, inputs, (node.output[0],)))

    def named(self, node: Any, operator: str) -> None:
        self._plain(operator, node)


_Rule = Callable[[_Reader, Any], None]
_RULES: dict[str, _Rule] = {
    "Conv": _Reader.convolution,
    "ConvTranspose": partial(_Reader.convolution, name="conv_transpose"),
    **dict.fromkeys(("Gemm", "MatMul"), _Reader.product),
    "MaxPool": partial(_Reader.pooling, operator="max_pool2d"),
    "AveragePool": partial(_Reader.pooling, operator="avg_pool2d"),
    "GlobalAveragePool": partial(_Reader.named, operator="adaptive_avg_pool2d"),
    "GlobalMaxPool": partial(_Reader.named, operator="adaptive_max_pool2d"),
    "ReduceMean": _Reader.mean,
    "Transpose": _Reader.permute,
    "Concat": _Reader.cat,
    "Slice": _Reader.slice,
    "Pad": _Reader.pad,
    "Resize": _Reader.resize,
    "DepthToSpace": partial(_Reader.named, operator="pixel_shuffle"),
    "SpaceToDepth": _Reader.unshuffle,
    "BatchNormalization": partial(_Reader.norm, operator="batch_norm"),
    "InstanceNormalization": partial(_Reader.norm, operator="instance_norm"),
    "LayerNormalization": partial(_Reader.norm, operator="layer_norm"),
    "GroupNormalization": partial(_Reader.norm, operator="group_norm"),
    "PRelu": partial(_Reader.norm, operator="prelu"),
    "QuantizeLinear": partial(_Reader.named, operator="quantize"),
    "DequantizeLinear": partial(_Reader.named, operator="dequantize"),
    **dict.fromkeys(
        ("Reshape", "Flatten", "Squeeze", "Unsqueeze"), partial(_Reader.named, operator="reshape")
    ),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), partial(_Reader.named, operator="alias")),
    "Expand": partial(_Reader.named, operator="expand"),
}
