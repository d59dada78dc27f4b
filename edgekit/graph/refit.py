"""Tensors put into modules, and modules told the widths that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from operator import attrgetter

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from edgekit.errors import InputError
from edgekit.graph.trace import Shape, arguments, operators, shape_of


def tensor_of(module: nn.Module, name: str) -> Tensor:
    """The parameter or buffer of that full name, detached."""
    value = attrgetter(name)(module)  # get_submodule looks at every step of the path, and takes twice as long
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is no tensor")
    return value.detach()


def finite_tensor(module: nn.Module, name: str) -> Tensor:
    """The parameter of that full name; raises `InputError` where it holds NaN or infinity."""
    value = tensor_of(module, name)
    ends = (
        value.aminmax() if value.numel() else ()
    )  # NaN comes through; a tenth of the time of isfinite on all
    if not all(math.isfinite(end.item()) for end in ends):
        raise InputError(f"{name} holds NaN or infinite weights", hint="train or load the network again")
    return value


def set_tensor(module: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor of any shape, itself, in the place of the parameter or buffer of that full name."""
    path, _, leaf = name.rpartition(".")
    owner = attrgetter(path)(module) if path else module
    if leaf in owner._parameters:
        old = owner._parameters[leaf]
        owner._parameters[leaf] = nn.Parameter(value.detach(), requires_grad=old is None or old.requires_grad)
    else:
        owner._buffers[leaf] = value.detach()


def tie(module: nn.Module, names: Mapping[str, str]) -> None:
    """Share again, by reference, what `first_names` found under several names: the first one's value counts."""
    for name, first in names.items():
        if name != first:
            path, _, leaf = name.rpartition(".")
            owner = module.get_submodule(path)
            if leaf in owner._parameters:
                owner._parameters[leaf] = module.get_parameter(first)
            else:
                owner._buffers[leaf] = module.get_buffer(first)


def refit(module: nn.Module) -> None:
    """Make the width attributes of standard layers agree with their tensors, and a graph's depthwise groups."""
    if isinstance(module, fx.GraphModule):
        _refit_depthwise(module)
    for layer in module.modules():
        if isinstance(layer, _ConvNd):
            _refit_convolution(layer)
        elif isinstance(layer, nn.Linear):
            layer.out_features, layer.in_features = layer.weight.shape
        elif isinstance(layer, _NormBase) and (known := _first(layer)) is not None:
            layer.num_features = len(known)
        elif isinstance(layer, nn.LayerNorm) and layer.weight is not None:
            layer.normalized_shape = tuple(layer.weight.shape)
        elif isinstance(layer, nn.GroupNorm) and layer.weight is not None:
            if layer.num_groups == layer.num_channels:
                layer.num_groups = len(layer.weight)
            layer.num_channels = len(layer.weight)
        elif isinstance(layer, nn.PReLU):
            layer.num_parameters = len(layer.weight)


def _refit_convolution(layer: _ConvNd) -> None:
    depthwise = layer.groups == layer.in_channels and layer.groups > 1
    one, two = layer.weight.shape[:2]
    if isinstance(layer, _ConvTransposeNd):
        layer.groups = one if depthwise else layer.groups
        layer.in_channels, layer.out_channels = one, two * layer.groups
        return
    if depthwise:
        layer.groups = one * layer.in_channels // layer.out_channels
    layer.out_channels, layer.in_channels = one, two * layer.groups


def _refit_depthwise(graph: fx.GraphModule) -> None:
    """An exported graph bakes the groups in; the number of outputs a group stays."""
    weights: dict[fx.Node, Shape] = {}
    for node, operator in operators(graph):
        given = arguments(node)
        if operator not in ("conv1d", "conv2d") or given["groups"] == 1:
            continue
        weight = given["weight"]
        weights[weight] = tuple(graph.get_parameter(str(weight.target)).shape)
        if weights[weight][1] == 1:
            groups = given["groups"] * weights[weight][0] // shape_of(weight)[0]
            node.args, node.kwargs = (), given | {"groups": groups}
    for weight, shape in weights.items():
        weight.meta["val"] = torch.empty(shape, device="meta")
    graph.recompile()


def _first(layer: _NormBase) -> Tensor | None:
    return layer.weight if layer.weight is not None else layer.running_mean
