"""The masked network: the whole one, run without what the channels that are to go contribute."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.labels.reducing import reduced_axes
from edgekit.graph.labels.value import Value, label
from edgekit.graph.trace import arguments, operator_name

Statistic = Callable[[Tensor, Tensor, tuple[int, ...], dict[str, Any]], Any]
"""(input, which entries are kept, axes, the call's arguments) → what the operator gives over the kept entries."""


class Masked(fx.Interpreter):
    """Runs a copy of a traced network with the entries of removed channels cut out of every tensor.

    Norms, means and extremes are taken over the entries that are kept; the scale of attention stays what it is.
    """

    def __init__(self, network: fx.GraphModule, channels: ChannelGraph, removed: Tensor) -> None:
        super().__init__(network)
        kept = torch.ones(len(channels.found.classes), dtype=torch.bool)
        kept[removed] = False
        self._kept = kept[channels.found.classes]
        self._values = {node.name: value for node, value in channels.walk.values.items()}

    def run_node(self, n: fx.Node) -> Any:
        """The node's result with zeros for the channels that go."""
        statistic = STATISTICS.get(operator_name(n)) if n.op == "call_function" else None
        source = self._values.get(n.all_input_nodes[0].name) if n.all_input_nodes else None
        if statistic is None or not isinstance(source, Value) or not source.planes:
            return self._cut(super().run_node(n), self._values.get(n.name))
        call = dict(fx.map_arg(arguments(n), self.env.__getitem__))
        tensor = call.pop("input", None)
        tensor = call.pop("self") if tensor is None else tensor
        mask = self._mask(source).expand(tensor.shape)
        axes = () if "eps" in call else tuple(reduced_axes(n, tensor.dim()))
        return self._cut(statistic(tensor, mask, axes, call), self._values.get(n.name))

    def _mask(self, value: Value) -> Tensor:
        mask = torch.ones((1,) * value.rank, dtype=torch.bool)
        for plane in value.planes:
            mask = mask & self._kept[label(plane.tokens)]
        return mask

    def _cut(self, result: Any, value: Any) -> Any:
        if isinstance(value, list) and isinstance(result, tuple | list):
            return type(result)(self._cut(one, two) for one, two in zip(result, value, strict=True))
        if isinstance(value, Value) and value.planes and isinstance(result, Tensor):
            return result.masked_fill(~self._mask(value), 0)
        return result


def _mean(tensor: Tensor, mask: Tensor, axes: tuple[int, ...], call: dict[str, Any]) -> Tensor:
    keep = bool(call.get("keepdim"))
    return tensor.masked_fill(~mask, 0).sum(axes, keepdim=keep) / mask.sum(axes, keepdim=keep)


def _variance(tensor: Tensor, mask: Tensor, axes: tuple[int, ...], call: dict[str, Any]) -> Tensor:
    count = mask.sum(axes, keepdim=True)
    centred = (tensor - tensor.masked_fill(~mask, 0).sum(axes, keepdim=True) / count).masked_fill(~mask, 0)
    given = call.get("correction", call.get("unbiased"))
    free = 1 if given is None else int(given)
    found = centred.square().sum(axes, keepdim=True) / (count - free)
    return found if call.get("keepdim") else found.squeeze(axes)


def _deviation(tensor: Tensor, mask: Tensor, axes: tuple[int, ...], call: dict[str, Any]) -> Tensor:
    return _variance(tensor, mask, axes, call).sqrt()


def _filled(fill: float, name: str) -> Statistic:
    def extreme(tensor: Tensor, mask: Tensor, axes: tuple[int, ...], call: dict[str, Any]) -> Any:
        filled = tensor.masked_fill(~mask, fill)
        keep = bool(call.get("keepdim"))
        if name in ("max", "min"):
            return getattr(torch, name)(filled, call["dim"], keepdim=keep)
        if name == "prod":
            for axis in sorted(axes, reverse=True):
                filled = filled.prod(axis, keepdim=keep)
            return filled
        return getattr(torch, name)(filled, axes, keepdim=keep)

    return extreme


def _normalized(tensor: Tensor, mask: Tensor, axes: tuple[int, ...], eps: float, *, centre: bool) -> Tensor:
    count = mask.sum(axes, keepdim=True)
    zeroed = tensor.masked_fill(~mask, 0)
    centred = tensor - zeroed.sum(axes, keepdim=True) / count if centre else tensor
    squares = centred.masked_fill(~mask, 0).square().sum(axes, keepdim=True)
    return centred / (squares / count + eps).sqrt()


def _layer_norm(
    tensor: Tensor, mask: Tensor, _: tuple[int, ...], call: dict[str, Any], *, centre: bool
) -> Tensor:
    axes = tuple(range(tensor.dim() - len(call["normalized_shape"]), tensor.dim()))
    eps = torch.finfo(tensor.dtype).eps if call["eps"] is None else call["eps"]
    found = _normalized(tensor, mask, axes, eps, centre=centre)
    found = found if call["weight"] is None else found * call["weight"]
    return found if call.get("bias") is None else found + call["bias"]


def _group_norm(tensor: Tensor, mask: Tensor, _: tuple[int, ...], call: dict[str, Any]) -> Tensor:
    rows = (len(tensor), call["num_groups"], -1)
    found = _normalized(tensor.reshape(rows), mask.reshape(rows), (2,), call["eps"], centre=True)
    return _per_channel(found.reshape(tensor.shape), call)


def _batch_norm(tensor: Tensor, mask: Tensor, _: tuple[int, ...], call: dict[str, Any]) -> Tensor:
    """With statistics of its own input, as where a network standardises its weights (Brock et al. 2021)."""
    if not call["training"]:
        return torch.batch_norm(tensor, **call)
    axes = tuple(axis for axis in range(tensor.dim()) if axis != 1)
    return _per_channel(_normalized(tensor, mask, axes, call["eps"], centre=True), call)


def _per_channel(normalized: Tensor, call: dict[str, Any]) -> Tensor:
    """Scaled and shifted by the parameters of axis 1."""
    shape = (1, -1, *(1,) * (normalized.dim() - 2))
    found = normalized if call["weight"] is None else normalized * call["weight"].reshape(shape)
    return found if call["bias"] is None else found + call["bias"].reshape(shape)


STATISTICS: dict[str, Statistic] = {
    "mean": _mean,
    "var": _variance,
    "std": _deviation,
    "amax": _filled(-torch.inf, "amax"),
    "amin": _filled(torch.inf, "amin"),
    "max": _filled(-torch.inf, "max"),
    "min": _filled(torch.inf, "min"),
    "logsumexp": _filled(-torch.inf, "logsumexp"),
    "prod": _filled(1, "prod"),
    "layer_norm": partial(_layer_norm, centre=True),
    "rms_norm": partial(_layer_norm, centre=False),
    "group_norm": _group_norm,
    "batch_norm": _batch_norm,
}
"""Operators whose result over fewer entries is another one; all else sums, or looks at each entry by itself."""
