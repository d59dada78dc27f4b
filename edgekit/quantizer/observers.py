"""What sees a graph's tensors: a histogram while calibrating, and what torchao puts there for us afterwards."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from edgekit.quantizer.quiet import quiet_torch
from edgekit.quantizer.ranges import BINS, Histogram
from edgekit.quantizer.weights import HIGHEST, channel_scales

with quiet_torch():  # torchao speaks when it is imported
    from torchao.quantization.pt2e import FakeQuantizeBase, ObserverBase


_COUNTED = 2**14
"""Values of a picture's activation, about: counting all would take longer than the convolutions."""


class HistogramObserver:
    """Counts an activation's values in one pass: where they outgrow the limit, it doubles and bins merge.

    Extremes are those of all values; of large activations values are counted that lie evenly apart. No count is ever
    spread over bins by interpolation: the order of batches changes nothing. A limit of infinity says that values were
    not finite.
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(BINS, dtype=torch.float64)
        self.limit = 2.0**-20
        self.low, self.high = math.inf, -math.inf

    def see(self, x: Tensor) -> None:
        """Count the values of one batch."""
        values = x.detach().float().cpu()
        low, high = (float(end) for end in torch.aminmax(_as_stored(values)))
        if not math.isfinite(high - low):
            self.limit = math.inf
        self.low, self.high = min(self.low, low), max(self.high, high)
        while max(-self.low, self.high) > self.limit:
            self.limit *= 2
            merged = self.counts.view(-1, 2).sum(dim=1)
            self.counts.zero_()[BINS // 4 : BINS // 4 * 3] = merged
        if math.isfinite(self.limit):
            self.counts += torch.histc(_some(values), BINS, -self.limit, self.limit).double()

    def histogram(self) -> Histogram:
        """What was seen so far."""
        return Histogram(self.counts.numpy(), self.limit, self.low, self.high)


def _as_stored(values: Tensor) -> Tensor:
    """The same values in the order of memory: another is gone through by a copy."""
    return values.permute(sorted(range(values.dim()), key=values.stride, reverse=True))


def _some(values: Tensor) -> Tensor:
    """Of (n, C, H, W) or (n, tokens, C): an odd number of places apart, so that no pattern of pairs goes unseen."""
    surplus = values.numel() / max(1, len(values)) / _COUNTED
    if surplus <= 1 or values.dim() not in (3, 4):
        return values
    apart = math.ceil(surplus if values.dim() == 3 else math.sqrt(surplus)) | 1
    places = [slice(min(apart, size) // 2, None, apart) for size in values.shape[-2:]]
    return values[:, :, places[0], places[1]] if values.dim() == 4 else values[:, places[0]]


class PerChannelGrid(ObserverBase):  # type: ignore[misc]
    """A weight's grid, known beforehand: a scale per output channel, zero point 0."""

    def __init__(
        self, scales: Tensor, ch_axis: int, dtype: torch.dtype, qscheme: torch.qscheme, **_: Any
    ) -> None:
        super().__init__(dtype=dtype)
        self.scales, self.ch_axis, self.qscheme = scales, ch_axis, qscheme
        self.quant_min, self.quant_max = -HIGHEST, HIGHEST

    def forward(self, weight: Tensor) -> Tensor:
        """Nothing to observe."""
        return weight

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scales (channels,) float32 and zero points (channels,) int64."""
        return self.scales, torch.zeros_like(self.scales, dtype=torch.int64)


class PerChannelFakeQuantize(FakeQuantizeBase):  # type: ignore[misc]
    """A weight rounded to the grid of its present values, with gradients passed straight through."""

    def __init__(
        self, highest: float, ch_axis: int, dtype: torch.dtype, qscheme: torch.qscheme, **_: Any
    ) -> None:
        super().__init__()
        self.highest = highest
        self.ch_axis, self.dtype, self.qscheme, self.is_dynamic = ch_axis, dtype, qscheme, False

    def forward(self, weight: Tensor) -> Tensor:
        """`weight` on its grid, same shape."""
        scales = channel_scales(weight.detach(), self.ch_axis, highest=self.highest)
        zeros = torch.zeros_like(scales, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scales, zeros, self.ch_axis, -HIGHEST, HIGHEST)

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Not asked for: the trained weights are converted anew."""
        raise NotImplementedError
