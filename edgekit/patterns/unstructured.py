"""Single weights, wherever they are: what saves the most accuracy, and what the fewest kernels can use."""

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
class Unstructured:
    """A share of each layer's weights is zero (Han et al. 2015)."""

    FORM: ClassVar = "unstructured@SHARE% (unstructured@75%)"

    sparsity: float

    @classmethod
    def read(cls, text: str) -> Self | None:
        """`unstructured@75%`."""
        found = re.fullmatch(rf"unstructured{SHARE}", text)
        return None if found is None else cls(float(found["share"]) / 100)

    @property
    def text(self) -> str:
        """`unstructured@75%`."""
        return f"unstructured{written(self.sparsity)}"

    def obstacle(self, shape: tuple[int, ...], groups: int) -> str:
        """A depthwise layer is a few weights in a hundred, and each of them one of a channel's nine."""
        return "depthwise: few weights, and all of a channel's" if groups > 1 and shape[1] == 1 else ""

    def mask(self, scores: Array) -> Array:
        """All but the smallest."""
        return largest(scores, self._zeros(scores.size))

    def holds(self, weight: Array) -> bool:
        """Enough are zero."""
        return int((weight == 0).sum()) >= self._zeros(weight.size)

    def _zeros(self, size: int) -> int:
        return math.floor(self.sparsity * size + 1e-9)
