"""How far a file's answers are from those of the network that it was made from, and where they part."""

from __future__ import annotations

from collections.abc import Callable

from edgekit.artifact import ArtifactFolder
from edgekit.exporters import tensor_parity
from edgekit.exporters.layer_parity import NOWHERE, THRESHOLD_DB, LayerParity, first_departed
from edgekit.model import Model
from edgekit.parity import Array
from edgekit.stages import Departure

LOOKED_AT = 2
"""Pictures that tensors are compared on."""
_FAILED_DB = -200.0


def departure(decibels: float, tensors: Callable[[], list[LayerParity]]) -> Departure | None:
    """What is to be said of answers so far from PyTorch's; None at 25 dB and above, where no tensor is asked for."""
    if decibels >= THRESHOLD_DB:
        return None
    first = first_departed(tensors())
    return Departure(decibels, first.node if first else "", str(first or NOWHERE))


def compared(model: Model, artifact: ArtifactFolder, inputs: Array) -> list[LayerParity]:
    """The file's tensors on the first of these pictures (n, C, H, W)."""
    return tensor_parity(model, artifact, inputs[:LOOKED_AT])


def failed(why: str) -> Departure:
    """Of a file that could not be made or run: nothing is further away."""
    return Departure(_FAILED_DB, "", why)
