"""Scales alone: what integers need where the network's own weights must stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.quantizer.ptq import Methods, quantize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.model import Model, Quantization
    from edgekit.parity import Array
    from edgekit.target import Int8Rules


def calibrate(model: Model, rules: Int8Rules, batches: Iterable[Array]) -> Quantization:
    """Decide the scale and zero point of every activation that the rules make an integer.

    `batches` are preprocessed samples (n, C, H, W) float32, any n. Raises `InputError` as `quantize` does.
    """
    return quantize(model, rules, batches, Methods(equalize=False, correct_bias=False)).quantization
