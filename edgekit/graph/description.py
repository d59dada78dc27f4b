"""A network as a list of plain operators in JSON, and its weights: what another framework builds without torch.

Tensors are PyTorch's, (N, C, H, W), and N is any number. An operator is `{"name", "op", "inputs", "options", "weights",
"shape"}`: `weights` are a layer's tensors by their role → their name among all weights; `shape` is without N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import fx

from edgekit.errors import InputError
from edgekit.graph.trace import CHECKS, arguments, operator_name, parameter_of, shape_of

Array = np.ndarray[Any, Any]
Operator = dict[str, Any]
Options = dict[str, Any]

_SAME = (
    "dropout",
    "feature_dropout",
    "alpha_dropout",
    "detach",
    "alias",
    "clone",
    "contiguous",
    "to",
    "_to_copy",
)
_PLAIN = ("relu", "relu6", "sigmoid", "hardsigmoid", "hardswish", "silu", "tanh")
_VIEWS = ("view", "_unsafe_view", "reshape", "flatten", "unsqueeze", "squeeze")


@dataclass(frozen=True)
class Description:
    """The operators in order, the input first and the output last, and every tensor that they hold."""

    operators: tuple[Operator, ...]
    weights: Mapping[str, Array]


def describe(graph: fx.GraphModule) -> Description:
    """The description of an ATen graph in eval mode (of `trace`, or folded) with one input and one output.

    Raises `InputError` that names the operator, and the layer that it belongs to, which has no description.
    """
    return _Describer(graph).run()


@dataclass
class _Describer:
    graph: fx.GraphModule
    operators: list[Operator] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    names: dict[fx.Node, str] = field(default_factory=dict)
    """Node → the operator that computes it: one before it, where it changes nothing."""
    output: str = ""

    def run(self) -> Description:
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                self.add(node, "input", [], {})
            elif node.op == "output":
                (result,) = node.all_input_nodes
                self.output = self.names[result]
            elif node.op == "call_function" and operator_name(node) not in CHECKS:
                self._call(node)
        used = [operator for operator in self.operators if operator["name"] == self.output]
        if not used or used[0] is not self.operators[-1]:  # a reader takes the last for the output
            self.operators.append(_operator("output", "same", [self.output], {}, {}, used[0]["shape"]))
        return Description(tuple(self.operators), self.weights)

    def _call(self, node: fx.Node) -> None:
        name = operator_name(node)
        if name in _SAME:
            self.names[node] = self.of(node.args[0])
        elif name in ("chunk", "split", "split_with_sizes"):
            return  # its parts are slices
        elif name == "getitem":
            self._part(node)
        elif name in _CALLS:
            _CALLS[name](self, node)
        else:
            raise _unknown(node, "has no counterpart in Keras")

    def add(
        self, node: fx.Node, op: str, inputs: Sequence[str], options: Options, **tensors: fx.Node | None
    ) -> None:
        """One operator; `tensors` are the nodes that read its weights."""
        weights = {role: self._tensor(read) for role, read in tensors.items() if read is not None}
        self.operators.append(_operator(node.name, op, inputs, options, weights, list(shape_of(node)[1:])))
        self.names[node] = node.name

    def of(self, node: Any) -> str:
        """The operator that computes an argument."""
        if node not in self.names:
            raise _unknown(node, "is held by the network, and stands where only a computed tensor can")
        return self.names[node]

    def _tensor(self, read: fx.Node) -> str:
        name = parameter_of(read)
        if name is None:
            raise _unknown(read, "computes weights, which cannot be handed over")
        owner, _, leaf = name.rpartition(".")
        value = getattr(self.graph.get_submodule(owner), leaf)
        self.weights[name] = value.detach().cpu().numpy()
        return name

    def _part(self, node: fx.Node) -> None:
        source, place = node.args
        assert isinstance(source, fx.Node)
        assert isinstance(place, int)
        axis = arguments(source).get("dim", 0) % len(shape_of(source))
        start = sum(int(part.shape[axis]) for part in source.meta["val"][:place])
        end = start + shape_of(node)[axis]
        self.add(node, "slice", [self.of(source.args[0])], {"axis": axis, "start": start, "end": end})


def _operator(
    name: str, op: str, inputs: Sequence[str], options: Options, weights: Mapping[str, str], shape: list[int]
) -> Operator:
    return {
        "name": name,
        "op": op,
        "inputs": list(inputs),
        "options": options,
        "weights": dict(weights),
        "shape": shape,
    }


def _unknown(node: fx.Node, why: str) -> InputError:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    where = f" of {stack[-1][0]}" if stack and stack[-1][0] else ""
    return InputError(
        f"{operator_name(node)}{where} {why}", hint="choose a recipe without tfmot for this network"
    )


def _plain(self: _Describer, node: fx.Node) -> None:
    self.add(node, operator_name(node), [self.of(node.args[0])], {})


def _with(*names: str) -> Callable[[_Describer, fx.Node], None]:
    """An activation with numbers of its own."""

    def call(self: _Describer, node: fx.Node) -> None:
        given = arguments(node)
        self.add(node, operator_name(node), [self.of(node.args[0])], {name: given[name] for name in names})

    return call


def _clamp(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    bounds = {"min_val": given.get("min"), "max_val": given.get("max")}
    if None in bounds.values():
        raise _unknown(node, "has one bound only")
    self.add(node, "hardtanh", [self.of(node.args[0])], bounds)


def _binary(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    if given.get("alpha", 1) != 1:
        raise _unknown(node, "scales one of its sides")
    sides = [given["self"], given["other"]]
    held = next((side for side in sides if parameter_of(side) is not None), None)
    if held is not None:
        _per_channel(self, node, sides[0] if held is sides[1] else sides[1], held)
        return
    numbers = {"value": float(side) for side in sides if isinstance(side, int | float)}
    self.add(
        node, operator_name(node), [self.of(side) for side in sides if isinstance(side, fx.Node)], numbers
    )


def _per_channel(self: _Describer, node: fx.Node, computed: Any, held: fx.Node) -> None:
    """A batch norm that no convolution took: one number a channel."""
    channels, shape = shape_of(node)[1], shape_of(held)
    if operator_name(node) == "sub" or shape != (1, channels, *[1] * (len(shape_of(node)) - 2)):
        raise _unknown(node, "has a tensor of the network's own with more than a number a channel")
    self.add(node, f"{operator_name(node)}_channels", [self.of(computed)], {}, value=held)


def _conv2d(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    padding = given.get("padding", 0)
    kernel = tuple(given["weight"].meta["val"].shape[2:])
    if padding == "same":
        raise _unknown(node, 'has padding "same"')
    options = {
        "kernel": list(kernel),
        "stride": _pair(given["stride"]),
        "padding": [0, 0] if padding == "valid" else _pair(padding),
        "dilation": _pair(given["dilation"]),
        "groups": given["groups"],
        "inputs": shape_of(given["input"])[1],
    }
    self.add(
        node, "conv2d", [self.of(given["input"])], options, weight=given["weight"], bias=given.get("bias")
    )


def _linear(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    options = {"inputs": shape_of(given["input"])[-1]}
    self.add(
        node, "linear", [self.of(given["input"])], options, weight=given["weight"], bias=given.get("bias")
    )


def _batch_norm(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    roles = {role: given[role] for role in ("weight", "bias", "running_mean", "running_var")}
    self.add(node, "batch_norm", [self.of(given["input"])], {"eps": given["eps"]}, **roles)


def _cat(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    axis = given["dim"] % len(shape_of(node))
    self.add(node, "cat", [self.of(part) for part in given["tensors"]], {"axis": axis})


def _view(self: _Describer, node: fx.Node) -> None:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    if shape_of(source)[0] != shape_of(node)[0]:
        raise _unknown(node, "moves values from picture to picture")
    if shape_of(source) == shape_of(node):
        self.names[node] = self.of(source)
        return
    self.add(node, "reshape", [self.of(source)], {"shape": list(shape_of(node)[1:])})


def _transpose(self: _Describer, node: fx.Node) -> None:
    given, rank = arguments(node), len(shape_of(node))
    order = list(range(rank))
    first, second = given["dim0"] % rank, given["dim1"] % rank
    order[first], order[second] = order[second], order[first]
    self.add(node, "permute", [self.of(node.args[0])], {"order": order})


def _permute(self: _Describer, node: fx.Node) -> None:
    order = [axis % len(shape_of(node)) for axis in arguments(node)["dims"]]
    self.add(node, "permute", [self.of(node.args[0])], {"order": order})


def _slice(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    source = node.args[0]
    assert isinstance(source, fx.Node)
    axis = given["dim"] % len(shape_of(node))
    if shape_of(source) == shape_of(node):
        self.names[node] = self.of(source)
        return
    if given.get("step", 1) != 1 or axis == 0:
        raise _unknown(node, "takes every second value, or some of the pictures")
    start = given.get("start") or 0
    start += shape_of(source)[axis] if start < 0 else 0
    end = start + shape_of(node)[axis]
    self.add(node, "slice", [self.of(source)], {"axis": axis, "start": start, "end": end})


def _mean(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    source = node.args[0]
    assert isinstance(source, fx.Node)
    axes = sorted(axis % len(shape_of(source)) for axis in given["dim"])
    self.add(node, "mean", [self.of(source)], {"axes": axes, "keep": bool(given.get("keepdim"))})


def _adaptive(self: _Describer, node: fx.Node) -> None:
    if shape_of(node)[2:] != (1, 1):
        raise _unknown(node, "does not pool globally")
    self.add(node, "mean", [self.of(node.args[0])], {"axes": [2, 3], "keep": True})


def _pool(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    kernel, padding = _pair(given["kernel_size"]), _pair(given["padding"])
    stride = _pair(given.get("stride") or given["kernel_size"])
    source = node.args[0]
    assert isinstance(source, fx.Node)
    # What a window that is rounded up to reads beyond the padding.
    beyond = [
        max(0, (outputs - 1) * step + size - inputs - 2 * pad)
        for outputs, step, size, inputs, pad in zip(
            shape_of(node)[2:], stride, kernel, shape_of(source)[2:], padding, strict=True
        )
    ]
    average = operator_name(node) == "avg_pool2d"
    counted = bool(given.get("count_include_pad", False))
    if _pair(given.get("dilation", 1)) != [1, 1] or given.get("divisor_override"):
        raise _unknown(node, "is dilated or has a divisor of its own")
    if average and (any(beyond) or (any(padding) and not counted)):
        raise _unknown(node, "leaves what it pads with out of its means")
    options = {"kernel": kernel, "stride": stride, "padding": padding, "beyond": beyond}
    self.add(node, operator_name(node), [self.of(node.args[0])], options)


def _pad(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    pads, value = list(given["pad"]), given.get("value")
    if len(pads) != 4 or given.get("mode", "constant") != "constant" or min(pads) < 0:
        raise _unknown(node, "does not pad height and width with one value")
    options = {
        "left": pads[0],
        "right": pads[1],
        "top": pads[2],
        "bottom": pads[3],
        "value": float(value or 0),
    }
    self.add(node, "pad", [self.of(node.args[0])], options)


def _upsample(self: _Describer, node: fx.Node) -> None:
    given = arguments(node)
    source = node.args[0]
    assert isinstance(source, fx.Node)
    options = {"size": list(shape_of(node)[2:]), "corners": bool(given.get("align_corners", False))}
    self.add(node, operator_name(node).partition(".")[0], [self.of(source)], options)


def _softmax(self: _Describer, node: fx.Node) -> None:
    self.add(node, "softmax", [self.of(node.args[0])], {"axis": arguments(node)["dim"] % len(shape_of(node))})


def _pair(value: Any) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return [int(values[0]), int(values[-1])]


_CALLS: dict[str, Callable[[_Describer, fx.Node], None]] = {
    **dict.fromkeys(_PLAIN, _plain),
    **dict.fromkeys(_VIEWS, _view),
    **dict.fromkeys(("add", "mul", "sub"), _binary),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _pool),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d"), _upsample),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    "hardtanh": _with("min_val", "max_val"),
    "leaky_relu": _with("negative_slope"),
    "gelu": _with("approximate"),
    "clamp": _clamp,
    "conv2d": _conv2d,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "cat": _cat,
    "transpose": _transpose,
    "permute": _permute,
    "slice": _slice,
    "mean": _mean,
    "adaptive_avg_pool2d": _adaptive,
}
