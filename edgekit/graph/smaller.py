"""The channels of a pruned network, found by labels alone: its graph is the one before, with new sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.surgery import cut_graph
from edgekit.graph.survivors import survivors


def smaller_graph(module: nn.Module, channels: ChannelGraph, removed: Tensor) -> ChannelGraph:
    """What `channel_graph` of a new export would say after `removed` (int64) left `module`; nothing is exported."""
    graph = cut_graph(module, channels, survivors(channels, removed))
    examples = [node.meta["val"] for node in graph.graph.find_nodes(op="placeholder")]
    with torch.no_grad():
        _Shapes(graph).run(*(torch.zeros(value.shape, dtype=value.dtype) for value in examples))
    return channel_graph(graph)


class _Shapes(fx.Interpreter):
    """Runs a graph and writes down, as the exporter does, what each node gives."""

    def run_node(self, n: fx.Node) -> Any:
        """The node's result."""
        result = super().run_node(n)
        if n.op != "output":
            n.meta["val"] = map_aggregate(result, _shape_alone)
        return result


def _shape_alone(value: Any) -> Any:
    return value.detach().to("meta") if isinstance(value, Tensor) else value
