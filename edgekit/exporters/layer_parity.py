"""One tensor of a file against the same one in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.parity import sqnr_db

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.parity import Array

THRESHOLD_DB = 25.0
"""A file whose tensor is further from PyTorch's than this has departed from it."""
NOWHERE = "no single layer: the error builds up"


@dataclass(frozen=True)
class LayerParity:
    """How near they are, with both values at the place where they differ most."""

    node: str
    sqnr_db: float
    reference: float
    file: float

    def __str__(self) -> str:
        return (
            f"{self.node}: {self.sqnr_db:.1f} dB; furthest {self.file:.6g}, in PyTorch {self.reference:.6g}"
        )


def compare_tensors(node: str, reference: Array, other: Array) -> LayerParity:
    """Both hold the same values in the same order."""
    worst = np.unravel_index(np.abs(reference - other).argmax(), reference.shape)
    return LayerParity(node, sqnr_db(reference, other), float(reference[worst]), float(other[worst]))


def first_departed(layers: Iterable[LayerParity]) -> LayerParity | None:
    """The first, in order of computation, that lies below 25 dB; None where all are nearer."""
    return next((layer for layer in layers if layer.sqnr_db < THRESHOLD_DB), None)
