"""Sparsity patterns: which weights stay, what a checker accepts, and how they are written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgekit.patterns import density, pattern_of
from edgekit.patterns.library import learnt
from edgekit.recipe import SparsifyOptions
from edgekit.stages.gradual import Gradual
from edgekit.stages.sparsity import project, zero_masks

TEXTS = ("2:4", "1:4", "unstructured@75%", "block-4x1@50%", "block-2x2@66.6%", "kernel-4", "kernel-3@75%")


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("shape", [(16, 8, 3, 3), (8, 16, 5, 5), (32, 8, 1, 1), (16, 12)])
def test_what_a_pattern_leaves_holds_it_and_what_was_there_does_not(
    text: str, shape: tuple[int, ...]
) -> None:
    pattern = pattern_of(text)
    if pattern.obstacle(shape, 1):
        assert text.startswith("kernel")
        assert len(shape) != 4 or shape[2] == 1
        return
    weight = weights(*shape)
    left = weight * pattern.mask(np.abs(weight))
    assert pattern.holds(left)
    assert not pattern.holds(weight)
    assert not pattern.holds(weights(*shape, seed=1) * (weights(*shape, seed=2) > -0.1))
    assert pattern_of(pattern.text) == pattern
    if len(shape) == 4 and shape[2] == 5:
        return  # the nearest share of 25 places
    assert 1 - density(left) == pytest.approx(pattern.sparsity, abs=0.03)


@given(
    outputs=st.integers(1, 6),
    groups=st.integers(1, 5),
    kernel=st.sampled_from([1, 3]),
    n=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_exactly_n_of_m_survive_and_they_are_the_largest(
    outputs: int, groups: int, kernel: int, n: int, seed: int
) -> None:
    scores = np.abs(weights(outputs, 4 * groups, kernel, kernel, seed=seed))
    mask = pattern_of(f"{n}:4").mask(scores)
    kept = np.where(mask, scores, np.inf).reshape(outputs, groups, 4, -1).min(2)
    dropped = np.where(mask, 0, scores).reshape(outputs, groups, 4, -1).max(2)
    assert (mask.reshape(outputs, groups, 4, -1).sum(2) == n).all()
    assert (kept >= dropped).all()


@given(
    kernels=st.integers(1, 40),
    side=st.sampled_from([2, 3, 5, 7]),
    k=st.integers(2, 8),
    seed=st.integers(0, 99),
)
def test_the_patterns_of_a_layer_reach_every_border(kernels: int, side: int, k: int, seed: int) -> None:
    scores = np.abs(weights(kernels, side * side, seed=seed)) * (
        [1] + [0] * (side * side - 1) if seed % 3 else 1
    )
    entries = max(2, round(k / 9 * side * side))
    library = learnt(scores, entries, 8, (side, side))
    assert len(library) <= 8
    assert (library.sum(1) == entries).all()
    seen = library.any(0).reshape(side, side)
    assert all(seen.take(end, axis).any() for axis in (0, 1) for end in (0, -1))
    mask = pattern_of(f"kernel-{k}").mask(scores.reshape(kernels, 1, side, side))
    assert mask.reshape(kernels, -1).sum(1).tolist() == [entries] * kernels


def test_blocks_go_together_and_take_all_places_of_a_kernel() -> None:
    weight = weights(8, 4, 3, 3)
    weight[:4, 2] /= 100
    mask = pattern_of("block-4x1@12.5%").mask(np.abs(weight))
    assert not mask[:4, 2].any()
    assert mask.sum() == mask.size - 36


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4:4", "0 < N < M"),
        ("0:4", "0 < N < M"),
        ("2:4@50%", "no pattern is called"),
        ("unstructured", "no pattern is called"),
        ("unstructured@100%", "leaves nothing"),
        ("unstructured@0%", "leaves everything"),
        ("block-0x4@50%", "at least one"),
        ("kernel-1", "a single pixel"),
        ("kernel-9", "2 to 8"),
        ("kernel-4@20%", "more zeros than 20 %"),
    ],
)
def test_patterns_that_mean_nothing_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pattern_of(text)


@pytest.mark.parametrize(
    ("text", "shape", "groups", "said"),
    [
        ("2:4", (8, 6, 3, 3), 1, "6 input channels are no multiple of 4"),
        ("2:4", (8, 1, 3, 3), 8, "depthwise"),
        ("block-4x1@50%", (6, 8), 1, "6 output channels are no multiple of 4"),
        ("unstructured@50%", (8, 1, 3, 3), 8, "depthwise"),
        ("kernel-4", (8, 8), 1, "no places"),
        ("kernel-4@75%", (8, 1, 3, 3), 8, "whole kernels are its channels"),
        ("kernel-4", (8, 1, 3, 3), 8, ""),
    ],
)
def test_layers_that_cannot_carry_a_pattern_say_why(
    text: str, shape: tuple[int, ...], groups: int, said: str
) -> None:
    assert said in pattern_of(text).obstacle(shape, groups)
    assert bool(said) == bool(pattern_of(text).obstacle(shape, groups))


def test_projection_and_masks_touch_the_named_layers_only() -> None:
    sparse, other = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
    module, dense = nn.Sequential(sparse, other), other.weight.clone()
    project(module, {"0": "2:4"})
    assert pattern_of("2:4").holds(sparse.weight.detach().numpy())
    assert torch.equal(other.weight, dense)
    masks = zero_masks(module, {"0": "2:4"})
    assert masks.keys() == {"0.weight"}
    assert float(masks["0.weight"].float().mean()) == pytest.approx(0.5)


@pytest.mark.parametrize("selection", ["magnitude", "taylor"])
@pytest.mark.parametrize(
    ("schedule", "halfway"), [("constant", 0.5), ("polynomial", 0.5 * (1 - 0.5**3)), ("late", 0.0)]
)
@pytest.mark.parametrize("text", ["2:4", "unstructured@50%", "block-4x1@50%"])
def test_zeros_come_by_the_schedule(text: str, schedule: str, halfway: float, selection: str) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 16, 3)
    values = {
        "kind": "sparsify",
        "pattern": "2:4",
        "epochs": 10,
        "end": 8,
        "every": 2,
        "selection": selection,
    }
    values |= {"schedule": "constant", "begin": 6} if schedule == "late" else {"schedule": schedule}
    gradual, density_at = (
        Gradual(nn.Sequential(layer), {"0": text}, SparsifyOptions.model_validate(values)),
        {},
    )
    for step in range(1, 101):
        with torch.no_grad():
            layer.weight.add_(0.01 * torch.randn(layer.weight.shape))
            layer.weight.grad = torch.randn(layer.weight.shape)
            gradual(step, 100)
        density_at[step] = density(layer.weight.detach().numpy())
    assert 1 - density_at[42] == pytest.approx(halfway, abs=0.02)
    assert all(density_at[step] == density_at[80] for step in range(80, 101))
    assert pattern_of(text).holds(layer.weight.detach().numpy())
    if selection == "magnitude":
        assert 1 - density_at[100] == pytest.approx(0.5, abs=0.02)


def test_zeros_stay_zero_whatever_momentum_makes_of_them() -> None:
    layer = nn.Conv2d(8, 16, 3)
    values = {"kind": "sparsify", "pattern": "2:4", "schedule": "constant", "epochs": 10, "every": 1}
    gradual = Gradual(nn.Sequential(layer), {"0": "2:4"}, SparsifyOptions.model_validate(values))
    with torch.no_grad():
        gradual(1, 100)
        zero = layer.weight == 0
        for step in range(2, 100):
            layer.weight[zero] = torch.inf if step % 2 else 9.0
            gradual(step, 100)
    assert torch.equal(layer.weight == 0, zero)
