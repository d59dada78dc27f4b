"""N:M patterns: of every M weights along the input channels, N may be non-zero (Mishra et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def parse(pattern: str) -> tuple[int, int]:
    """`2:4` → (2, 4)."""
    kept, _, among = pattern.partition(":")
    return int(kept), int(among)


def pattern_mask(weight: Tensor, pattern: str) -> Tensor:
    """True for the N largest magnitudes of each M along axis 1 of (out, in, …); in must be a multiple of M."""
    kept, among = parse(pattern)
    groups = weight.detach().abs().movedim(1, -1).unflatten(-1, (-1, among))
    largest = groups.topk(kept, dim=-1).indices
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, largest, value=True)
    return mask.flatten(-2).movedim(-1, 1)


def project(module: nn.Module, sparsity: Mapping[str, str]) -> None:
    """Zero, in place, what the patterns of these layers do not keep."""
    with torch.no_grad():
        for layer, pattern in sparsity.items():
            weight = module.get_submodule(layer).weight
            weight.mul_(pattern_mask(weight, pattern))  # type: ignore[operator, arg-type]


def holds(weight: Tensor, pattern: str) -> bool:
    """Whether no M weights along axis 1 have more than N non-zeros."""
    kept, among = parse(pattern)
    if weight.shape[1] % among:
        return False
    groups = weight.detach().movedim(1, -1).unflatten(-1, (-1, among))
    return bool(((groups != 0).sum(dim=-1) <= kept).all())


def density(weight: Tensor) -> float:
    """The share of non-zeros."""
    return float((weight != 0).float().mean())


def zero_masks(module: nn.Module, sparsity: Mapping[str, str]) -> dict[str, Tensor]:
    """Weight name → where it is non-zero now: what training must hold."""
    return {f"{layer}.weight": module.get_submodule(layer).weight.detach() != 0 for layer in sparsity}  # type: ignore[operator, misc]
