"""A pruned network whose forward holds sizes of its own: its exported graph takes its place, as a `.pt2` file does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.graph.any_batch import for_any_batch
from edgekit.graph.surgery import TOLERANCE, masked_difference
from edgekit.zoo.program import built, exported, keep

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.graph.channels import ChannelGraph
    from edgekit.model import Model, Source


def as_graph(model: Model, channels: ChannelGraph, removed: Tensor) -> tuple[nn.Module, Source]:
    """The network without the classes in `removed` (int64), as a graph for any batch, and how it is built again.

    Raises `InputError` where there is no such graph, or its proof fails; nothing is kept then.
    """
    archive = exported(for_any_batch(model.module, channels, removed), model.input_shape)
    module = built(archive)
    difference = masked_difference(model.module, module, channels, removed)
    if not difference <= TOLERANCE:
        raise InputError(f"as a graph for any batch it differs from the mask by {difference:.1e} (relative)")
    return module, model.source.model_copy(update={"program": keep(archive)})
