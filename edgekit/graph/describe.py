"""ATen's operators in a description's words; what is said of them in `description.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx

from edgekit.graph.description import Call, Describer, Description, unknown
from edgekit.graph.trace import arguments, operator_name, parameter_of, shape_of

_PLAIN = ("relu", "relu6", "sigmoid", "hardsigmoid", "hardswish", "silu", "tanh")
_VIEWS = ("view", "_unsafe_view", "reshape", "flatten", "unsqueeze", "squeeze")


def describe(graph: fx.GraphModule) -> Description:
    """The description of an ATen graph in eval mode (of `trace`, or folded) with one input and one output.

    Raises `InputError` that names the operator, and the layer that it belongs to, which has no description.
    """
    return Describer(graph, CALLS).run()


def _plain(to: Describer, node: fx.Node) -> None:
    to.add(node, operator_name(node), [to.of(node.args[0])], {})


def _with(*names: str) -> Call:
    """An activation with numbers of its own."""

    def call(to: Describer, node: fx.Node) -> None:
        given = arguments(node)
        to.add(node, operator_name(node), [to.of(node.args[0])], {name: given[name] for name in names})

    return call


def _clamp(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    bounds = {"min_val": given.get("min"), "max_val": given.get("max")}
    if None in bounds.values():
        raise unknown(node, "has one bound only")
    to.add(node, "hardtanh", [to.of(node.args[0])], bounds)


def _binary(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    if given.get("alpha", 1) != 1:
        raise unknown(node, "scales one of its sides")
    sides = [given["self"], given["other"]]
    held = next((side for side in sides if parameter_of(side) is not None), None)
    if held is not None:
        _per_channel(to, node, sides[0] if held is sides[1] else sides[1], held)
        return
    number = next((side for side in sides if isinstance(side, int | float)), None)
    numbers = {} if number is None else {"value": float(number)}
    to.add(node, operator_name(node), [to.of(side) for side in sides if isinstance(side, fx.Node)], numbers)


def _per_channel(to: Describer, node: fx.Node, computed: Any, held: fx.Node) -> None:
    """A batch norm that no convolution took: one number a channel."""
    channels, shape = shape_of(node)[1], shape_of(held)
    if operator_name(node) == "sub" or shape != (1, channels, *[1] * (len(shape_of(node)) - 2)):
        raise unknown(node, "has a tensor of the network's own with more than a number a channel")
    to.add(node, f"{operator_name(node)}_channels", [to.of(computed)], {}, value=held)


def _conv2d(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    padding = given.get("padding", 0)
    kernel = tuple(given["weight"].meta["val"].shape[2:])
    if padding == "same":
        raise unknown(node, 'has padding "same"')
    options = {
        "kernel": list(kernel),
        "stride": _pair(given["stride"]),
        "padding": [0, 0] if padding == "valid" else _pair(padding),
        "dilation": _pair(given["dilation"]),
        "groups": given["groups"],
        "inputs": shape_of(given["input"])[1],
    }
    to.add(node, "conv2d", [to.of(given["input"])], options, weight=given["weight"], bias=given.get("bias"))


def _linear(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    options = {"inputs": shape_of(given["input"])[-1]}
    to.add(node, "linear", [to.of(given["input"])], options, weight=given["weight"], bias=given.get("bias"))


def _batch_norm(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    roles = {role: given[role] for role in ("weight", "bias", "running_mean", "running_var")}
    if None in roles.values():
        raise unknown(node, "has no scale, shift or running statistics")
    to.add(node, "batch_norm", [to.of(given["input"])], {"eps": given["eps"]}, **roles)


def _cat(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    axis = given["dim"] % len(shape_of(node))
    to.add(node, "cat", [to.of(part) for part in given["tensors"]], {"axis": axis})


def _view(to: Describer, node: fx.Node) -> None:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    if shape_of(source)[0] != shape_of(node)[0]:
        raise unknown(node, "moves values from picture to picture")
    if shape_of(source) == shape_of(node):
        to.names[node] = to.of(source)
        return
    to.add(node, "reshape", [to.of(source)], {"shape": list(shape_of(node)[1:])})


def _transpose(to: Describer, node: fx.Node) -> None:
    given, rank = arguments(node), len(shape_of(node))
    order = list(range(rank))
    first, second = given["dim0"] % rank, given["dim1"] % rank
    order[first], order[second] = order[second], order[first]
    to.add(node, "permute", [to.of(node.args[0])], {"order": order})


def _permute(to: Describer, node: fx.Node) -> None:
    order = [axis % len(shape_of(node)) for axis in arguments(node)["dims"]]
    to.add(node, "permute", [to.of(node.args[0])], {"order": order})


def _slice(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    source = node.args[0]
    assert isinstance(source, fx.Node)
    axis = given["dim"] % len(shape_of(node))
    if shape_of(source) == shape_of(node):
        to.names[node] = to.of(source)
        return
    if given.get("step", 1) != 1 or axis == 0:
        raise unknown(node, "takes every second value, or some of the pictures")
    start = given.get("start") or 0
    start += shape_of(source)[axis] if start < 0 else 0
    end = start + shape_of(node)[axis]
    to.add(node, "slice", [to.of(source)], {"axis": axis, "start": start, "end": end})


def _mean(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    source = node.args[0]
    assert isinstance(source, fx.Node)
    axes = sorted(axis % len(shape_of(source)) for axis in given["dim"])
    to.add(node, "mean", [to.of(source)], {"axes": axes, "keep": bool(given.get("keepdim"))})


def _adaptive(to: Describer, node: fx.Node) -> None:
    if shape_of(node)[2:] != (1, 1):
        raise unknown(node, "does not pool globally")
    to.add(node, "mean", [to.of(node.args[0])], {"axes": [2, 3], "keep": True})


def _pool(to: Describer, node: fx.Node) -> None:
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
        raise unknown(node, "is dilated or has a divisor of its own")
    if average and (any(beyond) or (any(padding) and not counted)):
        raise unknown(node, "leaves what it pads with out of its means")
    options = {"kernel": kernel, "stride": stride, "padding": padding, "beyond": beyond}
    to.add(node, operator_name(node), [to.of(node.args[0])], options)


def _pad(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    pads, value = list(given["pad"]), given.get("value")
    if len(pads) != 4 or given.get("mode", "constant") != "constant" or min(pads) < 0:
        raise unknown(node, "does not pad height and width with one value")
    options = {
        "left": pads[0],
        "right": pads[1],
        "top": pads[2],
        "bottom": pads[3],
        "value": float(value or 0),
    }
    to.add(node, "pad", [to.of(node.args[0])], options)


def _upsample(to: Describer, node: fx.Node) -> None:
    given = arguments(node)
    source = node.args[0]
    assert isinstance(source, fx.Node)
    options = {"size": list(shape_of(node)[2:]), "corners": bool(given.get("align_corners", False))}
    to.add(node, operator_name(node).partition(".")[0], [to.of(source)], options)


def _softmax(to: Describer, node: fx.Node) -> None:
    to.add(node, "softmax", [to.of(node.args[0])], {"axis": arguments(node)["dim"] % len(shape_of(node))})


def _pair(value: Any) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return [int(values[0]), int(values[-1])]


CALLS: Mapping[str, Call] = {
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
