"""Quantization-aware training on the folded graph, and the way back to the network's own layers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import fx, nn

from edgekit.quantizer.fold import folded_batch_norms, folded_graph
from edgekit.quantizer.graphs import set_tensor
from edgekit.quantizer.placement import place
from edgekit.quantizer.quantizer import Int8Quantizer, Trained
from edgekit.quantizer.quiet import quiet_torch
from edgekit.quantizer.reference import check_scales, decision_of

if TYPE_CHECKING:
    from edgekit.model import Model, Quantization
    from edgekit.target import Int8Rules


def prepare_qat(model: Model, rules: Int8Rules) -> fx.GraphModule:
    """A calibrated network as a graph to train, (N, C, H, W) → its outputs as integers would give them.

    Batch norm is folded, so its statistics are frozen (where training ends too in Krishnamoorthi 2018,
    arXiv:1806.08342, section 4.3). Activations keep the calibrated scales: training these along (Esser et al.
    2020, "LSQ") took half as long again and recovered no more. Weights are rounded anew at every step, with
    gradients passed straight through (Jacob et al. 2018); they are copies under the network's names
    (`features.0.0.weight`, `features.0.0.bias`), and the model itself does not change. Raises `InputError`
    where the model is not calibrated by these rules.
    """
    quantization, graph = decision_of(model), folded_graph(model, any_batch=True)
    floats = quantization.float_operators
    check_scales(model, place(graph, rules, floats), quantization)
    for name, value in dict(graph.named_parameters()).items():
        set_tensor(graph, name, nn.Parameter(value.detach().clone()))
    with quiet_torch():
        from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

        prepared = prepare_qat_pt2e(graph, Int8Quantizer(rules, Trained(quantization.activations), floats))
    del prepared.train, prepared.eval  # torchao forbids both; nothing in the folded graph depends on the mode
    assert isinstance(prepared, fx.GraphModule)
    return prepared


def finish_qat(model: Model, trained: fx.GraphModule) -> tuple[nn.Module, Quantization]:
    """The network's own layers with the trained weights, in eval mode, and the scales they were trained for.

    Where a batch norm was folded, its convolution takes the trained weights and it becomes an identity with
    the trained bias: folding the result gives the trained weights again, to one rounding of float32.
    """
    module, norms = copy.deepcopy(model.module).eval(), folded_batch_norms(model)
    with torch.no_grad():
        for name, value in trained.named_parameters():
            layer, _, leaf = name.rpartition(".")
            if layer in norms and leaf == "bias":
                _become_shift(module.get_submodule(norms[layer]), value)
                if isinstance(own := module.get_submodule(layer).bias, nn.Parameter):
                    own.zero_()
            else:
                module.get_parameter(name).copy_(value)
    return module, decision_of(model).model_copy(update={"method": "qat"})


def _become_shift(norm: nn.Module, bias: torch.Tensor) -> None:
    """Mean 0, variance 1, and a gain that cancels the epsilon: only the bias is left."""
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.zero_()
    norm.running_var.fill_(1)
    norm.weight.fill_((1 + norm.eps) ** 0.5)
    norm.bias.copy_(bias)
