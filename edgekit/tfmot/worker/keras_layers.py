"""Keras's layers, one at a time, in a description's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .refused import Refused

if TYPE_CHECKING:
    from .reading import Reader

Array = np.ndarray[Any, Any]
Named = dict[str, Any]
"""A layer's tensors by their role; None for one that it lacks."""
_ACTIVATIONS = {
    "relu": "relu",
    "relu6": "relu6",
    "softmax": "softmax",
    "sigmoid": "sigmoid",
    "swish": "silu",
    "silu": "silu",
    "tanh": "tanh",
    "gelu": "gelu",
    "hard_swish": "hardswish",
    "hard_silu": "hardswish",
}
FINAL = ("softmax", "sigmoid")


def describe(to: Reader, layer: Any, inputs: list[str]) -> str:
    """The operators of a layer; gives the name of the last."""
    kind = type(layer).__name__
    if kind not in _LAYERS:
        raise Refused(f"the layer {layer.name} is a {kind}, which edgekit does not read")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise Refused(f"the layer {layer.name} has its channels first")
    return _LAYERS[kind](to, layer, inputs)


def drop_final_activation(operators: list[dict[str, Any]]) -> str:
    """Without the softmax at the end, which changes no decision: edgekit trains and judges logits. Gives its kind."""
    return str(operators.pop()["op"]) if operators[-1]["op"] in FINAL else ""


def _activation(to: Reader, layer: Any, source: str) -> str:
    function = getattr(layer, "activation", None)
    name = getattr(function, "__name__", "linear")
    if name == "linear":
        return source
    if name == "hard_sigmoid" and type(layer).__module__.startswith("keras"):
        return to.add(f"{layer.name}_act", "hardsigmoid", [source])  # Keras 2 has another one of that name
    if name not in _ACTIVATIONS:
        raise Refused(f"the layer {layer.name} has the activation {name}, which edgekit does not read")
    options: dict[str, Any] = {"dim": 1} if name == "softmax" else {}
    return to.add(f"{layer.name}_act", _ACTIVATIONS[name], [source], **options)


def _named_activation(to: Reader, layer: Any, inputs: list[str]) -> str:
    return _activation(to, layer, inputs[0])


def _relu(to: Reader, layer: Any, inputs: list[str]) -> str:
    most, slope, least = layer.max_value, float(layer.negative_slope or 0), float(layer.threshold or 0)
    if least or (slope and most is not None):
        raise Refused(f"the layer {layer.name} is a ReLU with a threshold, or with a slope and a limit")
    if slope:
        return to.add(layer.name, "leaky_relu", inputs, negative_slope=slope)
    if most is None:
        return to.add(layer.name, "relu", inputs)
    return to.add(layer.name, "hardtanh", inputs, min_val=0.0, max_val=float(most))


def _leaky_relu(to: Reader, layer: Any, inputs: list[str]) -> str:
    slope = getattr(layer, "negative_slope", None)
    return to.add(
        layer.name, "leaky_relu", inputs, negative_slope=float(layer.alpha if slope is None else slope)
    )


def _softmax(to: Reader, layer: Any, inputs: list[str]) -> str:
    if layer.axis not in (-1, 3):
        raise Refused(f"the layer {layer.name} is a softmax over another axis than channels")
    return to.add(layer.name, "softmax", inputs, dim=1)


def _same_padding(
    to: Reader, layer: Any, inputs: list[str], kernel: Sequence[int]
) -> tuple[list[str], list[int]]:
    """A layer's inputs, padded by an operator where TensorFlow's `same` is one-sided, and what its own padding is."""
    dilation, strides = tuple(layer.dilation_rate), tuple(layer.strides)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if layer.padding != "same" or not any(reach):
        return inputs, [0, 0]
    if strides == (1, 1) and not any(size % 2 for size in reach):
        return inputs, [size // 2 for size in reach]
    options = {"kernel": list(kernel), "stride": list(strides), "dilation": list(dilation)}
    return [to.add(f"{layer.name}_pad", "pad_same", inputs, **options)], [0, 0]


def _weights(layer: Any) -> Named:
    values = layer.get_weights()
    return {"kernel": values[0], "bias": values[1] if layer.use_bias else None}


def _conv2d(to: Reader, layer: Any, inputs: list[str]) -> str:
    held = _weights(layer)
    named = {"weight": _to_torch(held["kernel"]), "bias": held["bias"]}
    return _activation(to, layer, _convolution(to, layer, inputs, named, int(layer.groups)))


def _depthwise(to: Reader, layer: Any, inputs: list[str]) -> str:
    held = _weights(layer)
    weight, channels = _each_channel(held["kernel"])
    named = {"weight": weight, "bias": held["bias"]}
    return _activation(to, layer, _convolution(to, layer, inputs, named, channels))


def _separable(to: Reader, layer: Any, inputs: list[str]) -> str:
    depthwise, pointwise, *bias = layer.get_weights()
    weight, channels = _each_channel(depthwise)
    inside = _convolution(to, layer, inputs, {"weight": weight, "bias": None}, channels)
    named = {"weight": _to_torch(pointwise), "bias": bias[0] if bias else None}
    options = {**_sizes(named, 1), "stride": [1, 1], "dilation": [1, 1]}
    return _activation(to, layer, to.add(f"{layer.name}_pointwise", "conv2d", [inside], named, **options))


def _convolution(to: Reader, layer: Any, inputs: list[str], named: Named, groups: int) -> str:
    padded, around = _same_padding(to, layer, inputs, named["weight"].shape[2:])
    options = {
        **_sizes(named, groups),
        "stride": list(layer.strides),
        "dilation": list(layer.dilation_rate),
        "padding": around,
    }
    return to.add(layer.name, "conv2d", padded, named, **options)


def _to_torch(kernel: Array) -> Array:
    return kernel.transpose(3, 2, 0, 1)


def _each_channel(kernel: Array) -> tuple[Array, int]:
    """A depthwise kernel in PyTorch's layout, and how many channels it has."""
    height, width, channels, times = kernel.shape
    return kernel.transpose(2, 3, 0, 1).reshape(channels * times, 1, height, width), channels


def _sizes(named: Named, groups: int) -> dict[str, Any]:
    """A convolution's sizes, as its weights have them."""
    outputs, inputs, *kernel = named["weight"].shape
    return {
        "inputs": inputs * groups,
        "outputs": outputs,
        "kernel": kernel,
        "groups": groups,
        "bias": named["bias"] is not None,
    }


def _dense(to: Reader, layer: Any, inputs: list[str]) -> str:
    held = _weights(layer)
    kernel = held["kernel"]
    if kernel.ndim != len(layer.output.shape):
        raise Refused(f"the layer {layer.name} is dense on more than (N, C)")
    sizes = {"inputs": kernel.shape[0], "outputs": kernel.shape[1], "bias": held["bias"] is not None}
    made = to.add(layer.name, "linear", inputs, {"weight": kernel.T, "bias": held["bias"]}, **sizes)
    return _activation(to, layer, made)


def _batch_norm(to: Reader, layer: Any, inputs: list[str]) -> str:
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    values = [np.asarray(value) for value in layer.get_weights()]
    mean, variance = values[-2:]
    scale = values[0] if layer.scale else np.ones_like(mean)
    shift = values[int(layer.scale)] if layer.center else np.zeros_like(mean)
    if axis not in (-1, 1, 3):
        raise Refused(f"the layer {layer.name} normalises another axis than channels")
    held = {"weight": scale, "bias": shift, "running_mean": mean, "running_var": variance}
    return to.add(layer.name, "batch_norm", inputs, held, channels=len(mean), eps=float(layer.epsilon))


def _max_pool(to: Reader, layer: Any, inputs: list[str]) -> str:
    kind = "max_pool2d_same" if layer.padding == "same" else "max_pool2d"
    return to.add(layer.name, kind, inputs, kernel_size=list(layer.pool_size), stride=list(layer.strides))


def _mean_pool(to: Reader, layer: Any, inputs: list[str]) -> str:
    if layer.padding == "same":
        raise Refused(f'the layer {layer.name} is an average pooling with padding = "same"')
    return to.add(
        layer.name, "avg_pool2d", inputs, kernel_size=list(layer.pool_size), stride=list(layer.strides)
    )


def _global_mean(to: Reader, layer: Any, inputs: list[str]) -> str:
    return to.add(layer.name, "mean", inputs, dim=[2, 3], keepdim=bool(layer.keepdims))


def _reshape(to: Reader, layer: Any, inputs: list[str]) -> str:
    if tuple(layer.target_shape[:2]) != (1, 1) or len(layer.target_shape) != 3:
        raise Refused(
            f"the layer {layer.name} reshapes to {layer.target_shape}: edgekit reads (1, 1, C) alone"
        )
    return to.add(layer.name, "unsqueeze", inputs)


def _concatenate(to: Reader, layer: Any, inputs: list[str]) -> str:
    if layer.axis not in (-1, 3):
        raise Refused(f"the layer {layer.name} concatenates another axis than channels")
    return to.add(layer.name, "cat", inputs, dim=1)


def _zero_padding(to: Reader, layer: Any, inputs: list[str]) -> str:
    (top, bottom), (left, right) = layer.padding
    return to.add(layer.name, "pad", inputs, pad=[left, right, top, bottom])


def _rescaling(to: Reader, layer: Any, inputs: list[str]) -> str:
    if np.ndim(layer.scale) or np.ndim(layer.offset):
        raise Refused(f"the layer {layer.name} rescales each channel by a number of its own")
    return to.add(layer.name, "rescale", inputs, scale=float(layer.scale), offset=float(layer.offset))


def _upsampling(to: Reader, layer: Any, inputs: list[str]) -> str:
    if layer.interpolation not in ("nearest", "bilinear"):
        raise Refused(f"the layer {layer.name} interpolates {layer.interpolation}")
    return to.add(layer.name, "upsample", inputs, times=list(layer.size), method=layer.interpolation)


def _plain(kind: str) -> Callable[[Reader, Any, list[str]], str]:
    return lambda to, layer, inputs: to.add(layer.name, kind, inputs)


def _dropout(to: Reader, layer: Any, inputs: list[str]) -> str:
    return to.add(layer.name, "dropout", inputs, rate=float(layer.rate))


def _nothing(to: Reader, layer: Any, inputs: list[str]) -> str:  # noqa: ARG001 (all take these)
    return inputs[0]


_LAYERS: dict[str, Callable[[Reader, Any, list[str]], str]] = {
    "InputLayer": _nothing,
    "Conv2D": _conv2d,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "Activation": _named_activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "Softmax": _softmax,
    "MaxPooling2D": _max_pool,
    "AveragePooling2D": _mean_pool,
    "GlobalAveragePooling2D": _global_mean,
    "Flatten": _plain("flatten"),
    "Reshape": _reshape,
    "Add": _plain("add"),
    "Multiply": _plain("mul"),
    "Concatenate": _concatenate,
    "ZeroPadding2D": _zero_padding,
    "Rescaling": _rescaling,
    "UpSampling2D": _upsampling,
    "Dropout": _dropout,
    "SpatialDropout2D": _dropout,
}
