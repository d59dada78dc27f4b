"""N:M: of every M weights along the input channels, N may be other than zero (Mishra et al. 2021)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class NofM:
    """2:4 is what sparse tensor cores multiply."""

    FORM: ClassVar = "N:M (2:4)"

    kept: int
    among: int

    @classmethod
    def read(cls, text: str) -> Self | None:
        """`2:4`."""
        found = re.fullmatch(r"(\d+):(\d+)", text)
        if found is None:
            return None
        kept, among = map(int, found.groups())
        if not 0 < kept < among:
            raise ValueError("N:M keeps N of each M weights, 0 < N < M")
        return cls(kept, among)

    @property
    def text(self) -> str:
        """`2:4`."""
        return f"{self.kept}:{self.among}"

    @property
    def sparsity(self) -> float:
        """1 - N / M."""
        return 1 - self.kept / self.among

    def obstacle(self, shape: tuple[int, ...], groups: int) -> str:
        """Groups leave too few input channels, and kernels that skip zeros are none of theirs."""
        if groups > 1:
            return "depthwise" if shape[1] == 1 else "grouped"
        return f"{shape[1]} input channels are no multiple of {self.among}" if shape[1] % self.among else ""

    def mask(self, scores: Array) -> Array:
        """The N largest of each M along axis 1; that must be a multiple of M."""
        import numpy as np

        groups = self._groups(scores)
        order = np.argsort(-groups, axis=-1, kind="stable")
        mask = np.zeros(groups.shape, dtype=bool)
        np.put_along_axis(mask, order[..., : self.kept], values=True, axis=-1)
        return np.moveaxis(mask.reshape(*mask.shape[:-2], -1), -1, 1)

    def holds(self, weight: Array) -> bool:
        """No M weights along axis 1 have more than N other than zero."""
        if weight.shape[1] % self.among:
            return False
        return bool(((self._groups(weight) != 0).sum(axis=-1) <= self.kept).all())

    def _groups(self, weight: Array) -> Array:
        """(out, in, …) → (out, …, in / M, M)."""
        import numpy as np

        last = np.moveaxis(weight, 1, -1)
        return last.reshape(*last.shape[:-1], -1, self.among)
