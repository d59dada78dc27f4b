"""N:M patterns: of every M weights along the input channels, N may be non-zero (Mishra et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def parse(pattern: str) -> tuple[int, int]:
    """`2:4` → (2, 4)."""
    kept, _, among = pattern.partition(":")
    return int(kept), int(among)


def _share(pattern: str) -> float | None:
    """The zeros of `unstructured@80%`; None of N:M."""
    name, _, share = pattern.partition("@")
    return float(share.removesuffix("%")) / 100 if name == "unstructured" else None


def in_groups(weight: Tensor, among: int) -> Tensor:
    """(out, in, …) → (out, …, in / M, M): the weights that a pattern chooses among, last."""
    last = weight.movedim(1, -1)
    return last.reshape(*last.shape[:-1], -1, among)


def pattern_mask(weight: Tensor, pattern: str) -> Tensor:
    """True for the N largest magnitudes of each M along axis 1 of (out, in, …); in must be a multiple of M."""
    if (share := _share(pattern)) is not None:
        mask = torch.ones(weight.numel(), dtype=torch.bool)
        mask[weight.detach().abs().flatten().argsort()[: int(share * weight.numel() + 1e-9)]] = False
        return mask.view_as(weight)
    kept, among = parse(pattern)
    groups = in_groups(weight.detach().abs(), among)
    largest = groups.topk(kept, dim=-1).indices
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, largest, value=True)
    return mask.flatten(-2).movedim(-1, 1)


def project(module: nn.Module, sparsity: Mapping[str, str]) -> None:
    """Zero, in place, what the patterns of these layers do not keep."""
    with torch.no_grad():
        for layer, pattern in sparsity.items():
            weight = module.get_parameter(f"{layer}.weight")
            weight.mul_(pattern_mask(weight, pattern))


def holds(weight: Tensor, pattern: str) -> bool:
    """Whether no M weights along axis 1 have more than N non-zeros; of `unstructured@80%`, whether so many are zero."""
    if (share := _share(pattern)) is not None:
        return int((weight == 0).sum()) >= int(share * weight.numel() + 1e-9)
    kept, among = parse(pattern)
    if weight.shape[1] % among:
        return False
    groups = in_groups(weight.detach(), among)
    return bool(((groups != 0).sum(dim=-1) <= kept).all())


def density(weight: Tensor) -> float:
    """The share of non-zeros."""
    return float((weight != 0).float().mean())


def zero_masks(module: nn.Module, sparsity: Mapping[str, str]) -> dict[str, Tensor]:
    """Weight name → where it is non-zero now: what training must hold."""
    return {
        name: module.get_parameter(name).detach() != 0 for name in (f"{layer}.weight" for layer in sparsity)
    }
