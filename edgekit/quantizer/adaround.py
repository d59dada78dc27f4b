"""AdaRound (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization"), a layer at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgekit.quantizer.simulate import along
from edgekit.quantizer.weights import HIGHEST, integers

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
    weight, scales = layer.weight, along(layer.scales, layer.axis, layer.weight.dim())
    nearest = integers(weight, layer.scales, layer.axis).float()
    exact = (weight / scales).clamp(-HIGHEST, HIGHEST)
    others = [each for each in range(weight.dim()) if each != layer.axis]
    silent = nearest.abs().amax(others, keepdim=True) < HIGHEST
    fixed = (weight == 0) | (nearest.abs() == HIGHEST) | silent
    down = exact.floor()
    before = _error(layer, nearest * scales, inputs, wanted)
    if not before or fixed.all():
        return None
    with torch.enable_grad():
        ups = _ups(layer, inputs, wanted, scales, exact, (fixed, nearest, down), before, steps, seed)
    rounded = torch.where(fixed, nearest, (down + ups).clamp(-HIGHEST, HIGHEST)) * scales
    if _error(layer, rounded, inputs, wanted) >= before:
        return None
    return torch.where(silent, weight, rounded)


def _ups(
    layer: Layer,
    inputs: Tensor,
    wanted: Tensor,
    scales: Tensor,
    exact: Tensor,
    given: tuple[Tensor, Tensor, Tensor],
    before: float,
    steps: int,
    seed: int,
) -> Tensor:
    """1 for every weight that is rounded up, else 0."""
    fixed, nearest, down = given
    low, high = _STRETCH
    fraction = (exact - down).clamp(0.01, 0.99)
    choice = torch.logit((fraction - low) / (high - low)).requires_grad_()
    optimizer = torch.optim.Adam([choice], _LEARNING_RATE)
    generator = torch.Generator().manual_seed(seed)
    unit = before / wanted.numel()
    for step in range(steps):
        picked = torch.randperm(len(inputs), generator=generator)[:_BATCH].to(inputs.device)
        up = (torch.sigmoid(choice) * (high - low) + low).clamp(0, 1)
        soft = torch.where(fixed, nearest, down + up) * scales
        loss = (layer.compute(soft, inputs[picked]) - wanted[picked]).square().mean() / unit
        share = (step / steps - _UNDECIDED_FOR) / (1 - _UNDECIDED_FOR)
        if share > 0:
            sharpness = _SHARPNESS[1] + (_SHARPNESS[0] - _SHARPNESS[1]) * (1 - share)
            undecided = 1 - (2 * up - 1).abs().pow(sharpness)
            loss = loss + _DECIDEDNESS * undecided[~fixed].mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (choice.detach() >= 0).float()


def _error(layer: Layer, weight: Tensor, inputs: Tensor, wanted: Tensor) -> float:
    pairs = zip(inputs.split(_BATCH), wanted.split(_BATCH), strict=True)
    return sum(float((layer.compute(weight, some) - goal).square().sum()) for some, goal in pairs)
