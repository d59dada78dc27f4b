"""Calibration data as it goes by: checked, counted and hashed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.errors import InputError
from edgekit.quantizer.program import device_of

if TYPE_CHECKING:
    from edgekit.model import Model, Preprocessing
    from edgekit.parity import Array


_FAR = 8
"""How many times further than preprocessing reaches is no augmentation any more, but a scale that was forgotten."""


class Samples:
    """What was taken so far."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.device = device_of(model.module)
        self.digest = hashlib.sha256()
        self.count = 0
        self.low, self.high = np.inf, -np.inf

    def take(self, batch: Array) -> torch.Tensor:
        """One batch (n, C, H, W), on the network's device; raises `InputError` where it cannot be used."""
        shape = self.model.input_shape[1:]
        if batch.ndim != 4 or batch.shape[1:] != shape or batch.dtype != np.float32:
            raise InputError(
                f"calibration data is {batch.dtype} {batch.shape}",
                hint=f"{self.model.name} takes float32 (n, {', '.join(map(str, shape))})",
            )
        if not np.isfinite(batch).all():
            bad = self.count + int(np.argmin(np.isfinite(batch).all(axis=(1, 2, 3))))
            raise InputError(
                f"calibration sample {bad} holds NaN or infinity", hint="check the preprocessing"
            )
        batch = np.ascontiguousarray(batch)
        self.digest.update(batch.data)
        self.count += len(batch)
        if len(batch):
            self.low, self.high = min(self.low, batch.min()), max(self.high, batch.max())
        return torch.from_numpy(batch).to(self.device)

    def check(self) -> None:
        """Raise `InputError` where all that was taken is too little to decide anything on."""
        if self.count == 0:
            raise InputError(
                "there are no calibration samples", hint="INT8 scales are decided on real inputs"
            )
        if self.low == self.high:
            raise InputError(
                f"every value of the calibration data is {self.low:g}",
                hint="give pictures like those that the device will see",
            )
        usual = max(abs(end) for end in bounds(self.model.preprocessing))
        if (reached := max(-self.low, self.high)) > _FAR * usual:
            raise InputError(
                f"calibration data reaches {reached:.4g}, and the network's preprocessing {usual:.4g}",
                hint="scale pictures as the network wants them: (picture / 255 - mean) / std",
            )


def bounds(preprocessing: Preprocessing) -> tuple[float, float]:
    """The least and the largest value that preprocessing gives."""
    channels = list(zip(preprocessing.mean, preprocessing.std, strict=True))
    return min(-mean / std for mean, std in channels), max((1 - mean) / std for mean, std in channels)
