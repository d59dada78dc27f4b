"""AdaRound (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization"), a layer at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgekit.quantizer.weights import HIGHEST, along, integers

if TYPE_CHECKING:
    from collections.abc import Callable

_BATCH = 32
_LEARNING_RATE = 0.02
_DECIDEDNESS = 0.5
"""Weight of the term that makes every weight go all the way up or down."""
_UNDECIDED_FOR = 0.2
"""The share of steps in which nothing is decided yet."""
_SHARPNESS = (20.0, 2.0)
"""The term's exponent, from first to last."""
_STRETCH = (-0.1, 1.1)
"""The sigmoid is stretched so far and cut to [0, 1], so that it gets there."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A weighted operator by itself."""

    weight: Tensor
    scales: Tensor
    axis: int
    compute: Callable[[Tensor, Tensor], Tensor]
    """From weight and inputs to what the layer gives, behind its activation function."""


def learned(layer: Layer, inputs: Tensor, wanted: Tensor, *, steps: int, seed: int) -> Tensor | None:
    """The layer's weight on its grid, each rounded up or down so that the output comes nearest to `wanted`.

    None where that is no nearer than rounding to the nearest. Zeros stay zeros, and every channel keeps what it has
    at ±127, so that `max|w| / 127` is its scale again. Channels that are silent (`weights.py`) stay as they are.
    """
    work = _Learning(layer, inputs, wanted)
    before = work.error(work.nearest)
    if not before or work.fixed.all():
        return None
    with torch.enable_grad():
        ups = work.ups(before / wanted.numel(), steps, seed)
    rounded = torch.where(work.fixed, work.nearest, work.down + ups)
    if work.error(rounded) >= before:
        return None
    return torch.where(work.silent, layer.weight, rounded * work.scales)


class _Learning:
    """Weights in units of their scales: exact, to the nearest, rounded down; and those that are not learned."""

    def __init__(self, layer: Layer, inputs: Tensor, wanted: Tensor) -> None:
        self.layer, self.inputs, self.wanted = layer, inputs, wanted
        weight = layer.weight
        self.scales = along(layer.scales, layer.axis, weight.dim())
        self.nearest = integers(weight, layer.scales, layer.axis).float()
        exact = (weight / self.scales).clamp(-HIGHEST, HIGHEST)
        others = [each for each in range(weight.dim()) if each != layer.axis]
        self.silent = self.nearest.abs().amax(others, keepdim=True) < HIGHEST
        self.fixed = (weight == 0) | (self.nearest.abs() == HIGHEST) | self.silent
        self.down = exact.floor()
        self.fraction = exact - self.down

    def ups(self, unit: float, steps: int, seed: int) -> Tensor:
        """1 for every weight that is rounded up, else 0; `unit` is the error of rounding to the nearest."""
        low, high = _STRETCH
        choice = torch.logit((self.fraction.clamp(0.01, 0.99) - low) / (high - low)).requires_grad_()
        optimizer = torch.optim.Adam([choice], _LEARNING_RATE)
        generator = torch.Generator().manual_seed(seed)
        for step in range(steps):
            picked = torch.randperm(len(self.inputs), generator=generator)[:_BATCH].to(self.inputs.device)
            up = (torch.sigmoid(choice) * (high - low) + low).clamp(0, 1)
            weight = torch.where(self.fixed, self.nearest, self.down + up) * self.scales
            off = self.layer.compute(weight, self.inputs[picked]) - self.wanted[picked]
            loss = off.square().mean() / unit
            share = (step / steps - _UNDECIDED_FOR) / (1 - _UNDECIDED_FOR)
            if share > 0:
                sharpness = _SHARPNESS[1] + (_SHARPNESS[0] - _SHARPNESS[1]) * (1 - share)
                undecided = 1 - (2 * up - 1).abs().pow(sharpness)
                loss = loss + _DECIDEDNESS * undecided[~self.fixed].mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return (choice.detach() >= 0).float()

    def error(self, integer: Tensor) -> float:
        """What the layer's output is off by, squared and summed."""
        pairs = zip(torch.split(self.inputs, _BATCH), torch.split(self.wanted, _BATCH), strict=True)
        weight = integer * self.scales
        return sum(float((self.layer.compute(weight, some) - goal).square().sum()) for some, goal in pairs)
