"""Blocks of R output by C input channels that are zero together, at all places of the kernel.

`block-4x1` is 1×N of the literature: N neighbouring kernels that read one input channel (Lin et al. 2022).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from edgekit.patterns.shares import SHARE, largest, written

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Block:
    """A share of each layer's blocks is zero."""

    FORM: ClassVar = "block-RxC@SHARE% (block-4x1@75%)"

    rows: int
    columns: int
    sparsity: float

    @classmethod
    def read(cls, text: str) -> Self | None:
        """`block-4x1@75%`."""
        found = re.fullmatch(rf"block-(\d+)x(\d+){SHARE}", text)
        if found is None:
            return None
        rows, columns = int(found[1]), int(found[2])
        if not rows or not columns:
            raise ValueError("a block has at least one output and one input channel")
        return cls(rows, columns, float(found["share"]) / 100)

    @property
    def text(self) -> str:
        """`block-4x1@75%`."""
        return f"block-{self.rows}x{self.columns}{written(self.sparsity)}"

    def obstacle(self, shape: tuple[int, ...], groups: int) -> str:
        """Blocks tile a layer."""
        if groups > 1:
            return "depthwise" if shape[1] == 1 else "grouped"
        if shape[0] % self.rows:
            return f"{shape[0]} output channels are no multiple of {self.rows}"
        return (
            f"{shape[1]} input channels are no multiple of {self.columns}" if shape[1] % self.columns else ""
        )

    def mask(self, scores: Array) -> Array:
        """All but the blocks whose scores add up to least."""
        import numpy as np

        sums = self._sums(scores)
        blocks = largest(sums, self._zeros(sums.size))
        wide = blocks.repeat(self.rows, axis=0).repeat(self.columns, axis=1)
        return np.broadcast_to(wide.reshape(*wide.shape, *[1] * (scores.ndim - 2)), scores.shape).copy()

    def holds(self, weight: Array) -> bool:
        """Enough blocks are zero throughout."""
        if self.obstacle(weight.shape, 1):
            return False
        sums = self._sums(abs(weight))
        return int((sums == 0).sum()) >= self._zeros(sums.size)

    def _sums(self, scores: Array) -> Array:
        """(out / R, in / C)."""
        outputs, inputs = scores.shape[:2]
        tiles = scores.reshape(outputs // self.rows, self.rows, inputs // self.columns, self.columns, -1)
        found: Array = tiles.sum((1, 3, 4), dtype="float64")
        return found

    def _zeros(self, blocks: int) -> int:
        return math.floor(self.sparsity * blocks + 1e-9)
