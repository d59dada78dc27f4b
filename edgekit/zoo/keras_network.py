"""A Keras network as an `nn.Module`: its operators one after another, with PyTorch's own layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Operator = Mapping[str, Any]


class KerasNetwork(nn.Module):
    """(N, C, H, W) → logits; layers have their names in Keras, but for what Python or PyTorch cannot call so."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        super().__init__()
        self.operators = tuple(operators)
        for operator in operators:
            if (layer := _layer(operator)) is not None:
                self.add_module(layer_name(operator["name"]), layer)

    def forward(self, x: Tensor) -> Tensor:
        """Run every operator."""
        values: dict[str, Tensor] = {}
        for operator in self.operators:
            name, inputs = operator["name"], [values[source] for source in operator["inputs"]]
            if operator["op"] == "input":
                values[name] = x
            elif operator["op"] in _LAYERS:
                values[name] = self.get_submodule(layer_name(name))(*inputs)
            else:
                values[name] = _FUNCTIONS[operator["op"]](*inputs, **operator["options"])
        return values[self.operators[-1]["name"]]


def layer_name(name: str) -> str:
    """How a layer of Keras is called in the module: `a-b` as `a_b`, `forward` as `forward_`."""
    plain = re.sub(r"\W", "_", name)
    return f"{plain}_" if hasattr(nn.Module, plain) or plain in ("training", "operators") else plain


def parameter_name(name: str) -> str:
    """`layer.role` of a description as the module has it."""
    layer, _, role = name.rpartition(".")
    return f"{layer_name(layer)}.{role}"


def _layer(operator: Operator) -> nn.Module | None:
    make = _LAYERS.get(operator["op"])
    return None if make is None else make(operator["options"])


def _conv2d(options: Mapping[str, Any]) -> nn.Module:
    return nn.Conv2d(
        options["inputs"],
        options["outputs"],
        tuple(options["kernel"]),
        tuple(options["stride"]),
        dilation=tuple(options["dilation"]),
        groups=options["groups"],
        bias=options["bias"],
        padding=tuple(options.get("padding", (0, 0))),
    )


def _linear(options: Mapping[str, Any]) -> nn.Module:
    return nn.Linear(options["inputs"], options["outputs"], bias=options["bias"])


def _batch_norm(options: Mapping[str, Any]) -> nn.Module:
    return nn.BatchNorm2d(options["channels"], eps=options["eps"])


def _pad_same(
    x: Tensor, *, kernel: list[int], stride: list[int], dilation: list[int], lowest: bool
) -> Tensor:
    """TensorFlow's `same`: the output is ⌈size / stride⌉, and what is odd goes behind."""
    around: list[int] = []
    for axis in (1, 0):  # PyTorch counts from the last
        size, reach = x.shape[2 + axis], dilation[axis] * (kernel[axis] - 1)
        outputs = -(-size // stride[axis])
        total = max(0, (outputs - 1) * stride[axis] + reach + 1 - size)
        around += [total // 2, total - total // 2]
    if not any(around):
        return x
    return F.pad(x, around, value=float("-inf") if lowest else 0.0)


def _upsample(x: Tensor, *, times: list[int], method: str) -> Tensor:
    size = [x.shape[2] * times[0], x.shape[3] * times[1]]
    return F.interpolate(x, size, mode=method, align_corners=False if method == "bilinear" else None)


def _flatten(x: Tensor) -> Tensor:
    """In Keras's order: channels last."""
    return x.flatten(1) if x.dim() < 4 or x.shape[2:] == (1, 1) else x.permute(0, 2, 3, 1).flatten(1)


def _concatenate(*parts: Tensor, dim: int) -> Tensor:
    return torch.cat(parts, dim)


def _add(first: Tensor, *others: Tensor) -> Tensor:
    for other in others:
        first = first + other
    return first


def _multiply(first: Tensor, *others: Tensor) -> Tensor:
    for other in others:
        first = first * other
    return first


_LAYERS: Mapping[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "dropout": lambda options: nn.Dropout(options["rate"]),
}
_FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "silu": F.silu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "softmax": F.softmax,
    "max_pool2d": F.max_pool2d,
    "avg_pool2d": F.avg_pool2d,
    "mean": torch.mean,
    "flatten": _flatten,
    "unsqueeze": lambda x: x[:, :, None, None],
    "cat": _concatenate,
    "add": _add,
    "mul": _multiply,
    "pad": F.pad,
    "pad_same": _pad_same,
    "rescale": lambda x, scale, offset: x * scale + offset,
    "upsample": _upsample,
}
