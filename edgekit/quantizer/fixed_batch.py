"""A graph for any number of pictures, as one for a fixed number: without exporting the network again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import fx

if TYPE_CHECKING:
    from torch import Tensor


def fix_batch(graph: fx.GraphModule, example: Tensor) -> None:
    """Make the graph, in place, one for inputs of this very shape (N, C, H, W): sizes become numbers.

    What each node gives (`meta["val"]`) is told for that shape, as the exporter would.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.passes.fake_tensor_prop import FakeTensorProp

    with torch.no_grad():
        FakeTensorProp(graph, FakeTensorMode(allow_non_fake_inputs=True)).propagate(example)
    for node in graph.graph.nodes:
        node.args, node.kwargs = fx.node.map_arg((node.args, node.kwargs), _as_number)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _as_number(node: fx.Node) -> Any:
    value = node.meta.get("val")
    return value if isinstance(value, int) else node
