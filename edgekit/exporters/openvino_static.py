"""An OpenVINO IR as a `FileGraph`, for its static cost: read, not compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

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
from edgekit.exporters.openvino import package
from edgekit.graph.file_graph import FileGraph, Operation, Value

_PLAIN = {
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), "reshape"),
    "Convert": "alias",
    "Broadcast": "expand",
    "MVN": "layer_norm",
    "DepthToSpace": "pixel_shuffle",
    "ShuffleChannels": "shuffle",
}
_UNCOUNTED = (
    *("LSTMSequence", "GRUSequence", "RNNSequence", "LSTMCell", "GRUCell", "RNNCell", "TensorIterator"),
    *("Loop", "If", "Einsum", "ScaledDotProductAttention", "DeformableConvolution", "BinaryConvolution"),
)
_SAME_SIZE = ("same_upper", "same_lower")
INT8_LEVELS = 256


def file_graph(path: Path) -> FileGraph:
    """The operators of a file, for a batch of one where it leaves the batch open.

    Raises `MissingError` without openvino, `InputError` where it cannot be read, sizes are open or products unknown.
    """
    openvino = package()
    try:
        network = openvino.Core().read_model(path)
    except RuntimeError as error:
        raise InputError(
            f"{path} cannot be read as OpenVINO IR", hint="its .bin file must lie beside it"
        ) from error
    if network.is_dynamic():
        network.reshape({value: _closed(value.get_partial_shape(), path) for value in network.inputs})
    return _Reader(path).read(network)


def _closed(shape: Any, path: Path) -> list[int]:
    sizes = [1 if axis == 0 and size.is_dynamic else size for axis, size in enumerate(shape)]
    if any(not isinstance(size, int) and size.is_dynamic for size in sizes):
        raise InputError(
            f"{path}: its input has open sizes: {shape}", hint="export the file for a fixed size"
        )
    return [size if isinstance(size, int) else size.get_length() for size in sizes]


class _Reader:
    """Reads one network."""

    def __init__(self, path: Path) -> None:
        self.path, self.steps = path, Steps()
        self.sizes: dict[str, Value] = {}
        """Constants, and what is made of constants alone, at the width that they are stored in."""

    def read(self, network: Any) -> FileGraph:
        inputs, outputs = [], []
        for node in network.get_ordered_ops():
            kind = node.get_type_name()
            if kind == "Parameter":
                inputs.append(self._output(node))
            elif kind == "Result":
                outputs.append(_name(node.input_value(0)))
            elif kind == "Constant" or all(name in self.steps.constants for name in _inputs(node)):
                self._constant(node)
            else:
                self._read(node, kind)
        return self.steps.graph(inputs, outputs)

    def _constant(self, node: Any) -> None:
        behind = [self.sizes[name].width for name in _inputs(node)[:1]]
        for value in node.outputs():
            width = behind[0] if behind else value.get_element_type().size
            self.sizes[_name(value)] = Value(tuple(value.get_shape()), width)
            self.steps.constants.add(_name(value))

    def _output(self, node: Any, place: int = 0) -> str:
        value = node.output(place)
        self.steps.values[_name(value)] = Value(tuple(value.get_shape()), value.get_element_type().size)
        return _name(value)

    def _read(self, node: Any, kind: str) -> None:
        if kind in _UNCOUNTED:
            raise uncounted(kind, node.get_friendly_name())
        for place in range(node.get_output_size()):
            self._output(node, place)
        if (rule := _RULES.get(kind)) is not None:
            rule(self, node)
        elif kind in ARITHMETIC:
            self.steps.arithmetic(
                ARITHMETIC[kind], _layer(node), _inputs(node), _name(node.output(0)), self.sizes
            )
        else:
            self._plain(ACTIVATIONS.get(kind, _PLAIN.get(kind, kind.lower())), node)

    def _plain(self, operator: str, node: Any, arguments: dict[str, Any] | None = None) -> None:
        moved = [name for name in _inputs(node) if name not in self.steps.constants]
        outputs = tuple(_name(value) for value in node.outputs())
        self.steps.add(Operation(operator, _layer(node), tuple(moved), outputs, arguments or {}))

    def numbers(self, node: Any, place: int) -> list[int]:
        """A constant input, where there is one."""
        if node.get_input_size() <= place:
            return []
        source = node.input_value(place).get_node()
        if source.get_type_name() != "Constant":
            raise InputError(
                f"{self.path}: {node.get_friendly_name()} computes where it cuts",
                hint="export it for fixed sizes",
            )
        return [int(value) for value in np.array(source.data).reshape(-1)]

    def convolution(self, node: Any, *, grouped: bool, turned: bool) -> None:
        """Weights are (O, I, …), or (I, O, …) where they are turned; groups stand in front of both."""
        activation, weight = _inputs(node)[:2]
        if weight not in self.sizes:
            raise uncounted(f"{node.get_type_name()} with computed weights", node.get_friendly_name())
        shape, groups = self.sizes[weight].shape, 1
        if grouped:
            groups, first, second, *window = shape
            shape = (groups * first, second, *window)
        found = node.get_attributes()
        axes = len(shape) - 2
        pads = list(found["pads_begin"])
        if found["auto_pad"] in _SAME_SIZE:
            pads = same_padding(found["dilations"], shape[2:])
        arguments = {
            "stride": list(found["strides"]),
            "padding": pads,
            "dilation": list(found["dilations"]),
            "groups": groups,
        }
        operator = f"conv_transpose{axes}d" if turned else f"conv{axes}d"
        self._weighted(operator, node, (activation, weight), shape, arguments)

    def product(self, node: Any) -> None:
        left, right = _inputs(node)
        found = node.get_attributes()
        if right not in self.sizes or len(self.sizes[right].shape) != 2:
            if found["transpose_a"]:
                raise uncounted("MatMul with a turned left side", node.get_friendly_name())
            output = _name(node.output(0))
            self.steps.product(_layer(node), [left, right], output, self.sizes, kind="MatMul")
            return
        shape = self.sizes[right].shape
        shape = shape if found["transpose_b"] else shape[::-1]
        self._weighted("linear", node, (left, right), shape, {})

    def _weighted(
        self,
        operator: str,
        node: Any,
        inputs: tuple[str, str],
        shape: tuple[int, ...],
        arguments: dict[str, Any],
    ) -> None:
        weight = inputs[1]
        self.steps.parameter(weight, Value(shape, self.sizes[weight].width))
        layer = _layer(node, _source(node.input_value(1).get_node()))
        self.steps.add(Operation(operator, layer, inputs, (_name(node.output(0)),), arguments, weight))

    def pooling(self, node: Any, operator: str) -> None:
        found = node.get_attributes()
        arguments = {
            "kernel_size": list(found["kernel"]),
            "stride": list(found["strides"]),
            "padding": list(found["pads_begin"]),
            "dilation": list(found.get("dilations", [1] * len(found["kernel"]))),
        }
        self._plain(operator, node, arguments)

    def mean(self, node: Any) -> None:
        self._plain("mean", node, {"dim": self.numbers(node, 1)})

    def permute(self, node: Any) -> None:
        self._plain("permute", node, {"dims": self.numbers(node, 1)})

    def cat(self, node: Any) -> None:
        self._plain("cat", node, {"dim": node.get_attributes()["axis"]})

    def slice(self, node: Any) -> None:
        starts, steps = self.numbers(node, 1), self.numbers(node, 3)
        before, after = node.input_value(0).get_shape(), node.output(0).get_shape()
        axes = self.numbers(node, 4) or list(range(len(starts)))
        source, output = _name(node.input_value(0)), _name(node.output(0))
        width = self.steps.values[output].width
        told = cuts(before, after, axes, starts, steps)
        self.steps.slices(_layer(node), source, output, told, width=width)

    def pad(self, node: Any) -> None:
        self._plain("pad", node, {"pad": padding(self.numbers(node, 1), self.numbers(node, 2))})

    def resize(self, node: Any) -> None:
        self._plain(RESIZED[node.get_attributes()["mode"]], node)

    def fake_quantize(self, node: Any) -> None:
        """Quantize and Dequantize in one."""
        name, value = _name(node.output(0)), self.steps.values[_name(node.output(0))]
        width = 1 if node.get_attributes()["levels"] <= INT8_LEVELS else 2
        self.steps.values[f"{name}#integer"] = Value(value.shape, width)
        source = (_name(node.input_value(0)),)
        self.steps.add(Operation("quantize", _layer(node), source, (f"{name}#integer",)))
        self.steps.add(Operation("dequantize", _layer(node), (f"{name}#integer",), (name,)))

    def unshuffle(self, node: Any) -> None:
        self._plain("pixel_unshuffle", node, {"downscale_factor": node.get_attributes()["block_size"]})

    def slopes(self, node: Any) -> None:
        source, slope = _inputs(node)
        if slope in self.sizes:
            self.steps.parameter(slope, self.sizes[slope])
        self.steps.add(Operation("prelu", _layer(node), (source, slope), (_name(node.output(0)),)))


def _inputs(node: Any) -> list[str]:
    return [_name(value) for value in node.input_values()]


def _name(value: Any) -> str:
    node = value.get_node()
    name = str(node.get_friendly_name())
    return name if node.get_output_size() == 1 else f"{name}:{value.get_index()}"


def _source(node: Any) -> Any:
    """The constant that weights are made of."""
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return node


def _layer(node: Any, weight: Any = None) -> str:
    name = str(weight.get_friendly_name()) if weight is not None else ""
    return name.removesuffix(".weight") if name.endswith(".weight") else str(node.get_friendly_name())


_RULES: dict[str, Callable[[_Reader, Any], None]] = {
    "Convolution": partial(_Reader.convolution, grouped=False, turned=False),
    "GroupConvolution": partial(_Reader.convolution, grouped=True, turned=False),
    "ConvolutionBackpropData": partial(_Reader.convolution, grouped=False, turned=True),
    "GroupConvolutionBackpropData": partial(_Reader.convolution, grouped=True, turned=True),
    "MatMul": _Reader.product,
    "MaxPool": partial(_Reader.pooling, operator="max_pool2d"),
    "AvgPool": partial(_Reader.pooling, operator="avg_pool2d"),
    "ReduceMean": _Reader.mean,
    "Transpose": _Reader.permute,
    "Concat": _Reader.cat,
    "Slice": _Reader.slice,
    "Pad": _Reader.pad,
    "Interpolate": _Reader.resize,
    "FakeQuantize": _Reader.fake_quantize,
    "SpaceToDepth": _Reader.unshuffle,
    "PRelu": _Reader.slopes,
}
