"""The way back from folded weights to the network's own layers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from edgekit.quantizer.fold import FoldedNorm, folded_batch_norms, folded_graph
from edgekit.quantizer.program import exported_as, tensors_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from edgekit.model import Model


def with_folded(model: Model, values: Mapping[str, Tensor]) -> nn.Module:
    """The network's own layers, in eval mode, so that folding them gives these values.

    `values` are weights and biases by the names that they have in `folded_graph`; layers that are not named stay
    as they are. Where a batch norm was folded, its convolution takes the folded weights and it becomes an identity
    with the bias: folding that again gives the same numbers, to one rounding of float32.
    """
    module, norms = copy.deepcopy(model.module).eval(), folded_batch_norms(model)
    exported_as(module, model.module)
    folded = folded_graph(model, any_batch=True)
    behind = {
        layer: norm for layer, norm in norms.items() if values.keys() & {f"{layer}.weight", f"{layer}.bias"}
    }
    with torch.no_grad():
        for layer, norm in behind.items():
            bias = values.get(f"{layer}.bias", folded.get_parameter(f"{layer}.bias"))
            weight = values.get(f"{layer}.weight", folded.get_parameter(f"{layer}.weight"))
            _tensor(module, f"{layer}.weight").copy_(weight)
            _become_shift(module, layer, norm, bias)
        for name, value in values.items():
            if name.rpartition(".")[0] not in behind:
                _tensor(module, name).copy_(value)
    return module


def own_tensors(model: Model) -> frozenset[str]:
    """Names of the folded graph that `with_folded` can write to; constants of the network's code have none."""
    shifts = (f"{layer}.bias" for layer in folded_batch_norms(model))
    return frozenset((*tensors_of(model.module), *shifts))


def _tensor(module: nn.Module, name: str) -> Tensor:
    owner, _, leaf = name.rpartition(".")
    value = getattr(module.get_submodule(owner), leaf)
    assert isinstance(value, torch.Tensor)
    return value


def _become_shift(module: nn.Module, layer: str, norm: FoldedNorm, bias: Tensor) -> None:
    """Mean 0, variance 1, and a gain that cancels the epsilon: only the bias is left."""
    module.get_buffer(f"{norm.name}.running_mean").zero_()
    module.get_buffer(f"{norm.name}.running_var").fill_(1)
    module.get_parameter(f"{norm.name}.weight").fill_((1 + norm.epsilon) ** 0.5)
    module.get_parameter(f"{norm.name}.bias").copy_(bias)
    if isinstance(own := getattr(module.get_submodule(layer), "bias", None), nn.Parameter):
        own.zero_()
