"""N:M patterns: projected, held, told apart."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgekit.stages.sparsity import holds, in_groups, pattern_mask, project, zero_masks


@given(
    outputs=st.integers(1, 6),
    groups=st.integers(1, 5),
    kernel=st.sampled_from([1, 3]),
    n=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_exactly_n_of_m_survive_and_they_are_the_largest(
    outputs: int, groups: int, kernel: int, n: int, seed: int
) -> None:
    weight = torch.randn(outputs, 4 * groups, kernel, kernel, generator=torch.Generator().manual_seed(seed))
    mask = pattern_mask(weight, f"{n}:4")
    by_four = in_groups(mask, 4)
    assert bool((by_four.sum(-1) == n).all())
    magnitudes = in_groups(weight.abs(), 4)
    kept = magnitudes.masked_fill(~by_four, torch.inf).amin(-1)
    dropped = magnitudes.masked_fill(by_four, 0).amax(-1)
    assert bool((kept >= dropped).all())
    assert holds(weight * mask, f"{n}:4")


def test_a_dense_weight_does_not_hold_the_pattern() -> None:
    assert not holds(torch.ones(2, 8), "2:4")
    assert not holds(torch.zeros(2, 6), "2:4")  # six inputs make no groups of four


def test_projection_and_masks_touch_the_named_layers_only() -> None:
    sparse, other = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
    module, dense = nn.Sequential(sparse, other), other.weight.clone()
    project(module, {"0": "2:4"})
    assert holds(sparse.weight, "2:4")
    assert torch.equal(other.weight, dense)
    masks = zero_masks(module, {"0": "2:4"})
    assert masks.keys() == {"0.weight"}
    assert float(masks["0.weight"].float().mean()) == pytest.approx(0.5)
