"""Pictures that a criterion looks at, with what the network should say of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """Always the same pictures in the same order: the same scores."""

    images: Tensor
    """(n, C, H, W), float32, preprocessed."""
    targets: Tensor | None
    """(n,) or (n, H, W), int64; None where nobody knows."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """Outputs and targets → a scalar, the mean over pictures."""
