"""A .tflite file as a `FileGraph`, for its static cost: read, not run.

LiteRT keeps channels last; every tensor of four axes is told as (N, C, H, W) here, whatever it holds, and operators
that name axes are told likewise: nothing moves by that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit.exporters.file_steps import Steps, padding, uncounted
from edgekit.exporters.litert_graph import WIDTHS, Graph, Operator, Tensor, read_graph
from edgekit.graph.file_graph import FileGraph, Operation, Value

_PLACE = (0, 2, 3, 1)
"""Where axes (N, H, W, C) lie in (N, C, H, W)."""
_PLAIN = {
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), "reshape"),
    "RESIZE_NEAREST_NEIGHBOR": "upsample_nearest2d",
    "RESIZE_BILINEAR": "upsample_bilinear2d",
    "HARD_SWISH": "hardswish",
    "LOGISTIC": "sigmoid",
    "RELU": "relu",
    "RELU6": "relu6",
    "GELU": "gelu",
    "LEAKY_RELU": "leaky_relu",
    "ELU": "elu",
    "TANH": "tanh",
    "EXP": "exp",
    "SQRT": "sqrt",
    "RSQRT": "rsqrt",
    "QUANTIZE": "requantize",
    "DEQUANTIZE": "requantize",
    "CAST": "alias",
    "DEPTH_TO_SPACE": "pixel_shuffle",
    "SPLIT": "split",
    "SPLIT_V": "split",
    "UNPACK": "split",
    "PACK": "stack",
    "BROADCAST_TO": "expand",
}
_ARITHMETIC = {
    "ADD": "add",
    "SUB": "sub",
    "MUL": "mul",
    "DIV": "div",
    "MAXIMUM": "maximum",
    "MINIMUM": "minimum",
    "SQUARED_DIFFERENCE": "sub",
    "POW": "pow",
}
_FUSED = {"RELU": "relu", "RELU6": "relu6", "RELU_N1_TO_1": "clamp", "TANH": "tanh"}
_UNCOUNTED = (
    *("UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "RNN", "UNIDIRECTIONAL_SEQUENCE_RNN", "SVDF", "CONV_3D"),
    *("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "CONV_3D_TRANSPOSE"),
    *("IF", "WHILE", "CUSTOM"),
    *("STABLEHLO_COMPOSITE", "STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL"),
)


def file_graph(path: Path) -> FileGraph:
    """The operators of a file; raises `MissingError` without LiteRT's package, `InputError` where it is no .tflite."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return _Reader(read_graph(content, name=str(path))).read()


@dataclass
class _Reader:
    """Reads one graph."""

    graph: Graph

    def __post_init__(self) -> None:
        self.steps = Steps()
        self.names = [f"{tensor.name}#{tensor.index}" for tensor in self.graph.tensors]

    def read(self) -> FileGraph:
        for tensor in self.graph.tensors:
            value = Value(_picture(tensor.shape), WIDTHS.get(tensor.dtype, 4))
            self.steps.values[self.names[tensor.index]] = value
            if tensor.data is not None:
                self.steps.constants.add(self.names[tensor.index])
        for operator in self.graph.operators:
            self._read(operator)
        inputs, outputs = self.graph.inputs, self.graph.outputs
        return self.steps.graph([self.names[i] for i in inputs], [self.names[i] for i in outputs])

    def _read(self, operator: Operator) -> None:
        if operator.kind in _UNCOUNTED:
            raise uncounted(operator.kind, self.layer(operator))
        if all(self.names[index] in self.steps.constants for index in operator.inputs):
            self._follow(operator)
            return
        output, fused = self.names[operator.outputs[0]], _FUSED.get(operator.activation)
        before = f"{output}#before"
        if fused is not None:
            self.steps.values[before] = self.steps.values[output]
        self._computed(operator, before if fused is not None else output)
        if fused is not None:
            self.steps.add(Operation(fused, self.layer(operator), (before,), (output,)))

    def _follow(self, operator: Operator) -> None:
        """A constant that others are made of (float16, dequantized) counts at the size that it is stored in."""
        widths = [self.steps.values[self.names[index]].width for index in operator.inputs[:1]]
        for index in operator.outputs:
            name = self.names[index]
            self.steps.constants.add(name)
            known = self.steps.values[name]
            self.steps.values[name] = Value(known.shape, widths[0] if widths else known.width)

    def _computed(self, operator: Operator, output: str) -> None:
        if (rule := _RULES.get(operator.kind)) is not None:
            rule(self, operator, output)
        elif operator.kind in _ARITHMETIC:
            inputs = [self.names[index] for index in operator.inputs]
            constants = {name: self.steps.values[name] for name in inputs if name in self.steps.constants}
            kind = _ARITHMETIC[operator.kind]
            self.steps.arithmetic(kind, self.layer(operator), inputs, output, constants)
        else:
            self.plain(_PLAIN.get(operator.kind, operator.kind.lower()), operator, output, {})

    def tensors(self, operator: Operator) -> list[Tensor]:
        """The operator's inputs."""
        return [self.graph.tensors[index] for index in operator.inputs]

    def layer(self, operator: Operator, weight: str = "") -> str:
        """The weight's name tells; else the name of the result."""
        name = self.graph.tensors[operator.outputs[0]].name
        return weight.removesuffix(".weight") if weight.endswith(".weight") else name

    def plain(self, name: str, operator: Operator, output: str, arguments: dict[str, Any]) -> None:
        """An operator without weights; of several results only the first may be `output`."""
        moved = [self.names[i] for i in operator.inputs if self.names[i] not in self.steps.constants]
        outputs = (output, *(self.names[index] for index in operator.outputs[1:]))
        self.steps.add(Operation(name, self.layer(operator), tuple(moved), outputs, arguments))

    def weighted(self, operator: Operator, output: str, *, kind: str) -> None:
        """Convolutions and linear layers."""
        place = 2 if kind == "conv_transpose2d" else 0
        activation, weight = operator.inputs[place], operator.inputs[1]
        stored = self.graph.tensors[weight]
        if self.names[weight] not in self.steps.constants:
            raise uncounted(f"{operator.kind} with computed weights", self.layer(operator))
        name, source = self.names[weight], self.steps.values[self.names[activation]]
        shape = _as_in_torch(stored.shape, operator.kind)
        self.steps.parameter(name, Value(shape, self.steps.values[name].width))
        biases = [
            self.steps.parameter(self.names[index], self.steps.values[self.names[index]])
            for index in operator.inputs[3 if place else 2 :]
        ]
        arguments: dict[str, Any] = {}
        if kind != "linear":
            arguments = _window(operator, shape[2:], self.graph)
            arguments["groups"] = 1 if place else source.shape[1] // shape[1]
        inputs = (self.names[activation], name, *biases)
        self.steps.add(Operation(kind, self.layer(operator, stored.name), inputs, (output,), arguments, name))

    def pooling(self, operator: Operator, output: str, *, kind: str) -> None:
        kernel = (operator.options["filterHeight"], operator.options["filterWidth"])
        arguments = {"kernel_size": kernel, **_window(operator, kernel, self.graph)}
        self.plain(kind, operator, output, arguments)

    def product(self, operator: Operator, output: str) -> None:
        """Of tensors with four axes the first two are batches: as one axis, so that rows and columns stay in place."""
        sides = []
        if operator.options["adjX"]:
            raise uncounted("BATCH_MATMUL with a turned left side", self.layer(operator))
        for index in (*operator.inputs, *operator.outputs):
            shape, name = self.graph.tensors[index].shape, self.names[index]
            flat = (math.prod(shape[:-2]), *shape[-2:])
            self.steps.values[f"{name}#product"] = Value(flat, self.steps.values[name].width)
            sides.append(name)
        for name in sides[:2]:
            if name in self.steps.constants:
                self.steps.parameter(f"{name}#product", self.steps.values[f"{name}#product"])
                continue
            self.steps.add(Operation("view", self.layer(operator), (name,), (f"{name}#product",)))
        left, right, result = (f"{name}#product" for name in sides)
        self.steps.add(Operation("bmm", self.layer(operator), (left, right), (result,)))
        self.steps.add(Operation("view", self.layer(operator), (result,), (output,)))

    def mean(self, operator: Operator, output: str) -> None:
        source, axes = self.tensors(operator)[:2]
        self.plain("mean", operator, output, {"dim": [_axis(axis, source) for axis in _numbers(axes)]})

    def permute(self, operator: Operator, output: str) -> None:
        source, order = self.tensors(operator)
        dims = _numbers(order)
        if len(source.shape) == 4:
            turned = [0] * 4
            for place, axis in enumerate(dims):
                turned[_PLACE[place]] = _PLACE[axis]
            dims = turned
        self.plain("permute", operator, output, {"dims": dims})

    def cat(self, operator: Operator, output: str) -> None:
        axis = _axis(operator.options["axis"], self.graph.tensors[operator.outputs[0]])
        self.plain("cat", operator, output, {"dim": axis})

    def slice(self, operator: Operator, output: str) -> None:
        source, begin = self.tensors(operator)[:2]
        result = self.graph.tensors[operator.outputs[0]]
        steps = [1] * len(source.shape)
        if operator.kind == "STRIDED_SLICE":
            steps = _numbers(self.tensors(operator)[3])
        if len(result.shape) != len(source.shape):  # it drops axes too
            self.plain("select", operator, output, {})
            return
        cuts = [
            (_axis(axis, source), first, step, after)
            for axis, (first, step, before, after) in enumerate(
                zip(_numbers(begin), steps, source.shape, result.shape, strict=True)
            )
            if before != after
        ]
        name = self.names[source.index]
        width = self.steps.values[output].width
        self.steps.slices(self.layer(operator), name, output, cuts, width=width)

    def pad(self, operator: Operator, output: str) -> None:
        source, sizes = self.tensors(operator)[:2]
        pairs = sizes.data.reshape(-1, 2).tolist() if sizes.data is not None else []
        before, after = [0] * len(pairs), [0] * len(pairs)
        for axis, (front, behind) in enumerate(pairs):
            before[_axis(axis, source)], after[_axis(axis, source)] = front, behind
        self.plain("pad", operator, output, {"pad": padding(before, after)})

    def unshuffle(self, operator: Operator, output: str) -> None:
        self.plain("pixel_unshuffle", operator, output, {"downscale_factor": operator.options["blockSize"]})

    def slopes(self, operator: Operator, output: str) -> None:
        source, slope = (self.names[index] for index in operator.inputs)
        self.steps.parameter(slope, self.steps.values[slope])
        self.steps.add(Operation("prelu", self.layer(operator), (source, slope), (output,)))


def _picture(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[3], shape[1], shape[2]) if len(shape) == 4 else shape


def _axis(axis: int, tensor: Tensor) -> int:
    rank = len(tensor.shape)
    return _PLACE[axis % 4] if rank == 4 else axis % rank


def _numbers(tensor: Tensor) -> list[int]:
    return [] if tensor.data is None else [int(value) for value in tensor.data.reshape(-1)]


def _as_in_torch(shape: tuple[int, ...], kind: str) -> tuple[int, ...]:
    if kind == "DEPTHWISE_CONV_2D":
        return (shape[3], 1, shape[1], shape[2])
    if kind == "TRANSPOSE_CONV":
        return (shape[3], shape[0], shape[1], shape[2])
    return _picture(shape)


def _window(operator: Operator, kernel: tuple[int, ...], graph: Graph) -> dict[str, Any]:
    """Stride, dilation and the padding in front: `SAME` (0) shares it out, the larger half behind."""
    options = operator.options
    stride = (options["strideH"], options["strideW"])
    dilation = (options.get("dilationHFactor", 1), options.get("dilationWFactor", 1))
    before = graph.tensors[operator.inputs[0]].shape[1:3]
    after = graph.tensors[operator.outputs[0]].shape[1:3]
    pads = [0, 0]
    if options["padding"] == 0 and operator.kind != "TRANSPOSE_CONV":
        reach = [step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True)]
        pads = [
            max((new - 1) * step + wide - old, 0) // 2
            for new, step, wide, old in zip(after, stride, reach, before, strict=True)
        ]
    return {"stride": stride, "padding": tuple(pads), "dilation": dilation}


_RULES: dict[str, Callable[[_Reader, Operator, str], None]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), partial(_Reader.weighted, kind="conv2d")),
    "TRANSPOSE_CONV": partial(_Reader.weighted, kind="conv_transpose2d"),
    "FULLY_CONNECTED": partial(_Reader.weighted, kind="linear"),
    "BATCH_MATMUL": _Reader.product,
    "MAX_POOL_2D": partial(_Reader.pooling, kind="max_pool2d"),
    "AVERAGE_POOL_2D": partial(_Reader.pooling, kind="avg_pool2d"),
    "MEAN": _Reader.mean,
    "TRANSPOSE": _Reader.permute,
    "CONCATENATION": _Reader.cat,
    **dict.fromkeys(("SLICE", "STRIDED_SLICE"), _Reader.slice),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _Reader.pad),
    "SPACE_TO_DEPTH": _Reader.unshuffle,
    "PRELU": _Reader.slopes,
}
