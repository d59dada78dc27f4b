"""How far a file's answers are from those of the network that it was made from, and where they part."""

from __future__ import annotations

from edgekit.artifact import ArtifactFolder
from edgekit.exporters import tensor_parity
from edgekit.exporters.layer_parity import NOWHERE, THRESHOLD_DB, LayerParity, first_departed
from edgekit.model import Model
from edgekit.parity import Array, sqnr_db
from edgekit.quantizer.outputs import network_outputs
from edgekit.stages import Departure

LOOKED_AT = 2
"""Pictures that tensors are compared on."""


def departure_of(model: Model, artifact: ArtifactFolder, inputs: Array, answers: Array) -> Departure | None:
    """What departs in a file that gives these answers (n, …) for inputs (n, C, H, W); None at 25 dB and above."""
    decibels = sqnr_db(network_outputs(model, inputs), answers)
    if decibels >= THRESHOLD_DB:
        return None
    return departed(decibels, tensor_parity(model, artifact, inputs[:LOOKED_AT]))


def departed(decibels: float, layers: list[LayerParity]) -> Departure:
    """The first of a file's tensors that is under 25 dB, where there is one."""
    first = first_departed(layers)
    return Departure(decibels, first.node if first else "", str(first or NOWHERE))
