"""The graph that INT8 is decided on: functional ATen, batch norm folded, nothing that only trains."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import fx

from edgekit.errors import InputError
from edgekit.quantizer.fixed_batch import fix_batch
from edgekit.quantizer.graphs import operand, packet, rename_tensor, set_tensor, tensor_of
from edgekit.quantizer.program import program_of, zeros_for
from edgekit.quantizer.quiet import quiet_torch
from edgekit.quantizer.reorder import activate_before_pooling

if TYPE_CHECKING:
    from edgekit.model import Model

aten = torch.ops.aten

_FOLDS_BATCH_NORM = (aten.conv1d, aten.conv2d, aten.conv3d, aten.conv_transpose2d, aten.linear)
_IDENTITIES = (aten.dropout, aten.feature_dropout, aten.alpha_dropout, aten.detach, aten.alias, aten.clone)
_BATCH_NORM = aten._native_batch_norm_legit_no_training.default  # eval mode


@dataclass(frozen=True)
class FoldedNorm:
    """A batch norm that the graph has no operator for any more."""

    name: str
    """By which the network calls it."""
    epsilon: float


def folded_graph(model: Model, *, any_batch: bool = False) -> fx.GraphModule:
    """The network as an ATen graph with batch norm folded into the convolutions before it.

    Node names depend on the network alone, so that they can key the scales of a `Quantization`; parameters
    keep the network's names (`features.0.0.weight`, `features.0.0.bias`); in-place operators have become
    functional ones, dropout and identities are gone. Takes `input_shape` float32, or any N with `any_batch`.
    The model's own parameters are left as they are. Raises `InputError` where `torch.export` cannot follow
    the network.
    """
    with quiet_torch():
        graph, _ = _folded(model, any_batch)
    with quiet_torch():
        return copy.deepcopy(graph)


@lru_cache(maxsize=4)  # a model is asked for by the quantizer, by exporters and for proofs: seconds each time
def _folded(model: Model, any_batch: bool) -> tuple[fx.GraphModule, dict[str, FoldedNorm]]:
    """The graph, and the layers that a batch norm was folded into."""
    if not any_batch and (found := _fixed(model)) is not None:
        return found
    graph = program_of(model, any_batch=any_batch)
    _drop_identities(graph)
    norms = [node for node in graph.graph.nodes if node.target == _BATCH_NORM and _can_fold(node)]
    folded = {_layer(operand(operand(norm, 0), 1)): _norm(norm) for norm in norms}
    _make_affine(graph)
    with quiet_torch():  # torchao speaks when it is imported
        from torchao.quantization.pt2e.utils import _fuse_conv_bn_, _fuse_linear_bn_

        _fuse_conv_bn_(graph)
        _fuse_linear_bn_(graph)
    activate_before_pooling(graph)
    _tidy(graph)
    return graph, folded


def folded_batch_norms(model: Model) -> dict[str, FoldedNorm]:
    """Layers that `folded_graph` folds a batch norm into → that norm, by the network's own names, in their order."""
    _, folded = _folded(model, True)  # as `folded_graph` asks, so that it is exported once
    return dict(folded)


def _fixed(model: Model) -> tuple[fx.GraphModule, dict[str, FoldedNorm]] | None:
    """The graph for any batch, cut down to the model's own; None where it has no such graph."""
    try:
        graph, folded = _folded(model, True)
    except InputError:
        return None
    with quiet_torch():
        graph = copy.deepcopy(graph)
    fix_batch(graph, zeros_for(model.module, model.input_shape))
    return graph, folded


def _norm(batch_norm: fx.Node) -> FoldedNorm:
    epsilon = batch_norm.args[6]
    assert isinstance(epsilon, float)
    return FoldedNorm(_layer(operand(batch_norm, 1)), epsilon)


def _layer(parameter: fx.Node) -> str:
    return str(parameter.target).rpartition(".")[0]


def _drop_identities(graph: fx.GraphModule) -> None:
    """Dropout in eval mode is exported as a copy; a copy that reorders memory is needed by what views it."""
    for node in graph.graph.nodes:
        if (packet(node) in _IDENTITIES or _takes_all(node)) and node.meta["val"].stride() == operand(
            node, 0
        ).meta["val"].stride():
            node.replace_all_uses_with(node.args[0])
    graph.graph.eliminate_dead_code()


def _takes_all(node: fx.Node) -> bool:
    """`x[:, 0]` is exported with a slice over the whole batch, where the batch has no fixed size."""
    # what follows the tensor and the axis: start, end, step
    wanted = zip(node.args[2:], ((None, 0), (None, sys.maxsize), (1,)), strict=False)
    return packet(node) is aten.slice and all(argument in values for argument, values in wanted)


def _make_affine(graph: fx.GraphModule) -> None:
    """Batch norms that no convolution can absorb alone become `x · scale + shift`, a value per channel.

    torchao's fold looks neither at a convolution's other readers nor at a shared weight: both would be
    changed behind their back. DenseNet's norms before the activation have no convolution at all.
    """
    for node in list(graph.graph.nodes):
        if node.target != _BATCH_NORM or _can_fold(node):
            continue
        source, weight = operand(node, 0), operand(node, 1)
        gain, bias, mean, variance = (tensor_of(graph, operand(node, i)).detach() for i in range(1, 5))
        scale = gain / torch.sqrt(variance + node.args[6])
        shift = bias - mean * scale
        per_channel = (1, -1, *[1] * (source.meta["val"].dim() - 2))
        (output,) = node.users  # item 0 of batch norm's three results; the others are for training
        with graph.graph.inserting_before(node):
            factor = _constant(graph, f"{weight.target}_scale", scale.view(per_channel))
            scaled = graph.graph.call_function(aten.mul.Tensor, (source, factor))
            offset = _constant(graph, f"{weight.target}_shift", shift.view(per_channel))
            shifted = graph.graph.call_function(aten.add.Tensor, (scaled, offset))
        scaled.meta["val"] = shifted.meta["val"] = output.meta["val"]
        output.replace_all_uses_with(shifted)
    graph.graph.eliminate_dead_code()


def _can_fold(batch_norm: fx.Node) -> bool:
    source = operand(batch_norm, 0)
    if packet(source) not in _FOLDS_BATCH_NORM or len(source.users) != 1:
        return False
    weight = source.args[1]
    flat = packet(source) is not aten.linear or source.meta["val"].dim() == 2
    return flat and isinstance(weight, fx.Node) and weight.op == "get_attr" and len(weight.users) == 1


def _constant(graph: fx.GraphModule, name: str, value: torch.Tensor) -> fx.Node:
    set_tensor(graph, name, value)
    return graph.graph.get_attr(name)


def _tidy(graph: fx.GraphModule) -> None:
    """Give folded biases the name that the layer's bias would have; forget what the graph no longer reads."""
    for node in graph.graph.nodes:
        if node.op == "get_attr" and str(node.target).endswith(".weight_bias"):
            rename_tensor(graph, node, str(node.target).removesuffix("weight_bias") + "bias")
    used = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    for path, layer in graph.named_modules():
        for name in [*layer._parameters, *layer._buffers]:
            if f"{path}.{name}".lstrip(".") not in used:
                delattr(layer, name)
    _name_nodes(graph)


def _name_nodes(graph: fx.GraphModule) -> None:
    """Number the operators of a kind in order: the exporter's own names change with the batch size.

    Arithmetic on sizes, which exists for some batch sizes only, is numbered apart.
    """
    named = fx.Graph(tracer_cls=graph.graph._tracer_cls)
    named.set_codegen(graph.graph._codegen)
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.graph.nodes:
        if node.op == "call_function":
            operator = getattr(packet(node), "__name__", "operator")
            is_size = isinstance(node.meta.get("val"), int | torch.SymInt)
            node.name = f"size_{operator}" if is_size else operator
        elif node.op == "get_attr":
            node.name = str(node.target).replace(".", "_")
        copies[node] = named.node_copy(node, copies.__getitem__)
    named.lint()
    graph.graph = named
