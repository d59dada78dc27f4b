"""The same network in the operators that LiteRT runs best: what litert-torch's own passes leave behind."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from edgekit.quantizer.graphs import packet
from edgekit.quantizer.placement import activation_name

aten = torch.ops.aten

_POOL_DEFAULTS: tuple[Any, ...] = (None, None, [], [0, 0], [1, 1], False)
_NEVER_NEGATIVE = ("relu", "relu6", "sigmoid", "hardsigmoid", "softmax")


def rewritten(graph: fx.GraphModule) -> fx.GraphModule:
    """A graph with the same weights (shared) and the same outputs, number for number."""
    nodes = fx.Graph()
    nodes.output(nodes.graph_copy(graph.graph, {}))
    nodes.set_codegen(graph.graph._codegen)  # how it is called: there is no public way to read it
    for node in list(nodes.nodes):
        if packet(node) is aten.max_pool2d:
            _pad_with_zeros(nodes, node)
        elif packet(node) is aten.mean:
            _pool_globally(nodes, node)
        elif packet(node) in (aten.view, aten._unsafe_view):
            node.target = aten.reshape.default  # channel-last values cannot always be viewed
    return fx.GraphModule(graph, nodes)


def _pad_with_zeros(graph: fx.Graph, pool: fx.Node) -> None:
    """A padded max pool over values that are never negative: zeros around them, and a pool without padding.

    LiteRT pads with minus infinity in an operator of its own, which XNNPACK does not take: the graph would
    fall into two partitions there. A zero is as good where no value lies below it.
    """
    arguments: tuple[Any, ...] = (*pool.args, *_POOL_DEFAULTS[len(pool.args) :])
    source, kernel, stride, padding, dilation, ceil_mode = arguments
    if ceil_mode or not any(padding) or activation_name(source) not in _NEVER_NEGATIVE:
        return
    vertical, horizontal = padding if len(padding) == 2 else padding * 2
    with graph.inserting_before(pool):
        around = [horizontal, horizontal, vertical, vertical]
        padded = graph.call_function(aten.constant_pad_nd.default, (source, around, 0.0))
    pool.args = (padded, kernel, stride, [0, 0], dilation)


def _pool_globally(graph: fx.Graph, mean: fx.Node) -> None:
    """A mean over height and width as the pooling that litert-torch does channel-last, without transposes."""
    source, axes, keep, *_ = (*mean.args, None, False)
    assert isinstance(source, fx.Node)
    if source.meta["val"].dim() != 4 or not isinstance(axes, list) or {axis % 4 for axis in axes} != {2, 3}:
        return
    with graph.inserting_before(mean):
        pooled = graph.call_function(aten.adaptive_avg_pool2d.default, (source, [1, 1]))
        shape = list(mean.meta["val"].shape)
        result = pooled if keep else graph.call_function(aten.view.default, (pooled, shape))
    mean.replace_all_uses_with(result)
    graph.erase_node(mean)
