"""How much a channel matters, by one of several criteria, each summed over all that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph
from edgekit.graph.importance import batch_norm, magnitude, reconstruction, taylor
from edgekit.graph.importance.evidence import Evidence
from edgekit.recipe import Criterion

__all__ = ["Evidence", "importance"]

FromWeights = Callable[[nn.Module, ChannelGraph], Tensor]
FromPictures = Callable[[nn.Module, ChannelGraph, Evidence], Tensor]

_FROM_WEIGHTS: Mapping[Criterion, FromWeights] = {
    "l1": magnitude.l1,
    "l2": magnitude.l2,
    "batch-norm-scale": batch_norm.scale,
}
_FROM_PICTURES: Mapping[Criterion, FromPictures] = {
    "taylor": taylor.first_order,
    "reconstruction": reconstruction.error,
}


def importance(
    module: nn.Module,
    channels: ChannelGraph,
    criterion: Criterion = "l2",
    evidence: Evidence | None = None,
) -> dict[int, float]:
    """Class → how much it matters, at least 0; classes that a criterion cannot judge are left out.

    Raises `InputError` where it applies nowhere, where it needs pictures and has none, and for weights or
    gradients that are not finite.
    """
    if criterion in _FROM_WEIGHTS:
        totals = _FROM_WEIGHTS[criterion](module, channels)
    elif evidence is None:
        raise InputError(
            f"the criterion {criterion} looks at pictures, and there are none", hint="give --data"
        )
    else:
        totals = _FROM_PICTURES[criterion](module, channels, evidence)
    names = torch.cat([torch.zeros(0).long(), *(group.classes for group in channels.groups)])
    found = dict(zip(names.tolist(), totals[names].tolist(), strict=True))
    return {name: score for name, score in found.items() if score == score}  # noqa: PLR0124 (NaN: not judged)
