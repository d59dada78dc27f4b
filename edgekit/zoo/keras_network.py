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


def _beyond(size: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """What TensorFlow's `same` pads an axis with, both ends together: the output is ⌈size / stride⌉."""
    outputs = -(-size // stride)
    return max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size)


def _pad_same(x: Tensor, *, kernel: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    """The odd one goes behind."""
    height, width = map(_beyond, x.shape[2:], kernel, stride, dilation)
    if not (height or width):
        return x
    return F.pad(x, [width // 2, width - width // 2, height // 2, height - height // 2])


def _max_pool2d_same(x: Tensor, *, kernel_size: list[int], stride: list[int]) -> Tensor:
    """What lies beyond the picture is no candidate: half of it is padding; a single one, rounding up."""
    beyond = list(map(_beyond, x.shape[2:], kernel_size, stride))
    if all(more <= 1 for more in beyond):
        return F.max_pool2d(x, kernel_size, stride, ceil_mode=any(beyond))
    if any(more % 2 for more in beyond):
        raise ValueError(
            f"a max pooling of {kernel_size} by {stride} pads {tuple(x.shape[2:])} on one side more"
        )
    return F.max_pool2d(x, kernel_size, stride, [more // 2 for more in beyond])


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
    "max_pool2d_same": _max_pool2d_same,
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
