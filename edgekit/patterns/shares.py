"""How a share of zeros is written, and which of many scores it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

SHARE = r"(?:@(?P<share>\d+(?:\.\d+)?)%)"
"""`@75%`, behind a pattern's name."""


def written(share: float) -> str:
    """0.75 → `@75%`."""
    return f"@{100 * share:.6g}%"


def largest(scores: np.ndarray[Any, Any], zeros: int) -> np.ndarray[Any, Any]:
    """True for all but the `zeros` smallest scores, in the shape of these; of equal ones the first go."""
    import numpy as np

    mask = np.ones(scores.size, dtype=bool)
    mask[np.argsort(scores, axis=None, kind="stable")[:zeros]] = False
    return mask.reshape(scores.shape)
