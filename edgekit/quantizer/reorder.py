"""The same numbers in the order that integer kernels fuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.quantizer.graphs import operand, packet

if TYPE_CHECKING:
    from torch import fx

aten = torch.ops.aten


def activate_before_pooling(graph: fx.GraphModule) -> None:
    """`relu(max_pool(x))` → `max_pool(relu(x))`, in place (UNeXt's encoder): the convolution computes the ReLU then.

    The other way round the convolution's result keeps its negative half, and the pool, whose output must have its
    input's scale, rounds the half that is left to 7 bits.
    """
    for relu in graph.graph.find_nodes(op="call_function", target=aten.relu.default):
        pool = operand(relu, 0)
        if packet(pool) is not aten.max_pool2d or len(pool.users) != 1:
            continue
        source = operand(pool, 0)
        with graph.graph.inserting_before(pool):
            activated = graph.graph.call_function(aten.relu.default, (source,))
        activated.meta["val"] = source.meta["val"]
        pool.args = (activated, *pool.args[1:])
        relu.replace_all_uses_with(pool)
        graph.graph.erase_node(relu)
