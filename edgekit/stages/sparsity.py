"""Patterns put on the layers of a network, and the zeros that training must hold."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgekit.patterns import Pattern, pattern_of


def mask_of(pattern: Pattern, scores: Tensor) -> Tensor:
    """True for the weights that stay, on the scores' device; `scores` have the weight's shape."""
    return torch.from_numpy(pattern.mask(scores.detach().cpu().numpy())).to(scores.device)


def project(
    module: nn.Module, sparsity: Mapping[str, str], scores: Mapping[str, Tensor] | None = None
) -> None:
    """Zero, in place, what the patterns of these layers do not keep: the least magnitudes, or scores by weight."""
    with torch.no_grad():
        for layer, text in sparsity.items():
            weight = module.get_parameter(f"{layer}.weight")
            by = weight.abs() if scores is None else scores[f"{layer}.weight"]
            weight.mul_(mask_of(pattern_of(text), by))


def zero_masks(module: nn.Module, sparsity: Mapping[str, str]) -> dict[str, Tensor]:
    """Weight name → where it is non-zero now: what training must hold."""
    return {
        name: module.get_parameter(name).detach() != 0 for name in (f"{layer}.weight" for layer in sparsity)
    }
