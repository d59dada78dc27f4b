"""A few places of each kernel, in one of a layer's few patterns, and kernels that are zero altogether.

Kernel patterns and connectivity of PCONV and PatDNN (Ma et al. 2020, Niu et al. 2020). No stock runtime has kernels
for them: they save bytes. The patterns of a layer are learnt from it (`library.py`), and together they reach every
border of the kernel, so that a layer sees as far as it did.
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
NINE = 9


@dataclass(frozen=True)
class Kernel:
    """`entries` of nine places stay in each kernel, the same share of larger ones; a share of the kernels is zero."""

    FORM: ClassVar = "kernel-K (kernel-4), kernel-K@SHARE% (kernel-4@75%)"
    PATTERNS: ClassVar = 8
    """Of one layer, at most: what PatDNN's compiler was best with."""

    entries: int
    removed: float = 0.0

    @classmethod
    def read(cls, text: str) -> Self | None:
        """`kernel-4`, or `kernel-4@75%`: kernels go until this share of all weights is zero."""
        found = re.fullmatch(rf"kernel-(\d+){SHARE}?", text)
        if found is None:
            return None
        entries = int(found[1])
        if not 2 <= entries < NINE:
            raise ValueError("2 to 8 of a kernel's nine places stay: one alone sees a single pixel")
        if found["share"] is None:
            return cls(entries)
        kept = (1 - float(found["share"]) / 100) / (entries / NINE)
        if kept > 1:
            raise ValueError(f"{entries} of 9 places are more zeros than {found['share']} % by themselves")
        return cls(entries, round(1 - kept, 9))

    @property
    def text(self) -> str:
        """`kernel-4@75%`."""
        return f"kernel-{self.entries}{written(self.sparsity) if self.removed else ''}"

    @property
    def sparsity(self) -> float:
        """Of a layer with kernels of nine places."""
        return 1 - (1 - self.removed) * self.entries / NINE

    def obstacle(self, shape: tuple[int, ...], groups: int) -> str:
        """Kernels of one row or column have no two directions; a depthwise layer has one kernel a channel."""
        if len(shape) != 4 or min(shape[2:]) < 2:
            return "its kernels have no places to choose among"
        if self.removed and groups > 1:
            return "depthwise: whole kernels are its channels" if shape[1] == 1 else "grouped"
        return ""

    def mask(self, scores: Array) -> Array:
        """Each kernel keeps the pattern that scores most there, and all but the least kernels stay."""
        from edgekit.patterns.library import assigned, learnt

        kernels = scores.reshape(-1, math.prod(scores.shape[2:])).astype("float64")
        library = learnt(kernels, self._entries(scores.shape), self.PATTERNS, scores.shape[2:])
        mask = library[assigned(kernels, library)]
        kept = largest((kernels * mask).sum(1), self._removed(len(kernels)))
        stays: Array = (mask & kept[:, None]).reshape(scores.shape)
        return stays

    def holds(self, weight: Array) -> bool:
        """Few places a kernel, few patterns a layer, enough kernels zero, and each border of the kernel reached.

        A weight of the pattern may itself be zero: what it leaves is then part of a pattern.
        """
        import numpy as np

        kernels = weight.reshape(-1, math.prod(weight.shape[2:])) != 0
        alive = kernels[kernels.any(1)]
        if len(kernels) - len(alive) < self._removed(len(kernels)) or not len(alive):
            return False
        if alive.sum(1).max() > self._entries(weight.shape):
            return False
        seen = alive.any(0).reshape(weight.shape[2:])
        if not all(seen.take(end, axis).any() for axis in (0, 1) for end in (0, -1)):
            return False
        return _covered_by(np.unique(alive, axis=0), self._entries(weight.shape)) <= self.PATTERNS

    def _entries(self, shape: tuple[int, ...]) -> int:
        return max(2, round(self.entries / NINE * math.prod(shape[2:])))

    def _removed(self, kernels: int) -> int:
        return math.floor(self.removed * kernels + 1e-9)


def _covered_by(supports: Array, entries: int) -> int:
    """How many patterns of so many places it takes to hold all supports; counted greedily, so never too few."""
    patterns: list[Array] = []
    for support in sorted(supports, key=lambda each: -each.sum()):
        for place, pattern in enumerate(patterns):
            if (pattern | support).sum() <= entries:
                patterns[place] = pattern | support
                break
        else:
            patterns.append(support)
    return len(patterns)
