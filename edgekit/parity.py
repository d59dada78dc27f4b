"""How close two outputs are: by signal, not by agreement of top-1 alone."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def batches_of(images: Array, size: int) -> list[Array]:
    """Images (n, …) in batches of exactly `size`; the last one is filled up with the last image."""
    places = np.arange(-(-len(images) // size) * size).clip(max=len(images) - 1)
    return [np.ascontiguousarray(images[chunk]) for chunk in places.reshape(-1, size)]


def sqnr_db(reference: Array, other: Array) -> float:
    """Signal-to-quantization-noise ratio, 10·log10(Σ reference² / Σ (reference - other)²), in decibels.

    Infinite noise-free agreement is capped at 200 dB so that it can stand in JSON; a non-finite value in
    `other` gives -200.
    """
    signal = float(np.sum(np.square(reference, dtype=np.float64)))
    noise = float(np.sum(np.square(reference.astype(np.float64) - other)))
    if not np.isfinite(noise):
        return -200.0
    if noise == 0:
        return 200.0
    return -200.0 if signal == 0 else float(np.clip(10 * np.log10(signal / noise), -200, 200))
