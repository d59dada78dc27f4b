"""Quantization-aware training on the folded graph, and the way back to the network's own layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import fx, nn

from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.graphs import set_tensor
from edgekit.quantizer.placement import place
from edgekit.quantizer.quantizer import Int8Quantizer, Trained
from edgekit.quantizer.quiet import quiet_torch
from edgekit.quantizer.reference import check_scales, decision_of
from edgekit.quantizer.writeback import with_folded

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
    """The network's own layers with the trained weights, in eval mode, and the scales they were trained for."""
    module = with_folded(model, dict(trained.named_parameters()))
    return module, decision_of(model).model_copy(update={"method": "qat"})
