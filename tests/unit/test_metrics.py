"""Scores by hand: top-1, IoU and F1 over pixels, of one class and of several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.metrics import CHUNK, metric_of

TOP1, IOU = metric_of("classification"), metric_of("segmentation")


def logits_of(answers: list[list[int]], classes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Logits (1, classes, H, W) whose answers are these."""
    wanted = np.asarray(answers)[None]
    if classes == 1:
        return np.where(wanted == 1, 2.0, -3.0).astype(np.float32)[:, None]
    return np.stack([np.where(wanted == index, 1.0, 0.0) for index in range(classes)], axis=1).astype(
        np.float32
    )


def test_top1() -> None:
    outputs = np.asarray([[1, 2, 0], [0, 0, 1], [3, 2, 1]], dtype=np.float32)
    assert TOP1.score(outputs, np.asarray([1, 2, 1])).value == pytest.approx(2 / 3)
    assert TOP1.agreement(outputs, outputs[[0, 1, 0]]) == pytest.approx(2 / 3)


def test_one_class() -> None:
    truth = np.asarray([[[1, 1, 0, 0]]], dtype=np.uint8)
    score = IOU.score(logits_of([[1, 0, 1, 0]], 1), truth)
    assert score.value == pytest.approx(1 / 3)  # one pixel hit; three are in either
    assert score.others == {"f1": pytest.approx(1 / 2)}


def test_half_a_probability_is_not_the_class() -> None:
    assert IOU.score(np.zeros((1, 1, 1, 2), np.float32), np.asarray([[[0, 1]]])).value == 0


def test_the_mean_over_classes_counts_the_background_and_leaves_out_what_nobody_saw() -> None:
    truth = np.asarray([[[0, 0, 1, 1]]], dtype=np.uint8)
    score = IOU.score(logits_of([[0, 1, 1, 1]], 3), truth)
    assert score.value == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert score.others["f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_pixels_are_counted_over_all_pictures() -> None:
    many = 2 * CHUNK + 1
    outputs = np.repeat(logits_of([[1, 0]], 1), many, axis=0)
    truth = np.zeros((many, 1, 2), dtype=np.uint8)
    truth[-1] = 1
    assert IOU.score(outputs, truth).value == pytest.approx(1 / (many + 1))


def test_nothing_there_and_nothing_found_is_right() -> None:
    score = IOU.score(logits_of([[0, 0]], 1), np.zeros((1, 1, 2), np.uint8))
    assert (score.value, score.others) == (1.0, {"f1": 1.0})


@given(
    st.lists(st.integers(0, 3), min_size=6, max_size=6), st.lists(st.integers(0, 3), min_size=6, max_size=6)
)
def test_agreement_and_bounds(one: list[int], two: list[int]) -> None:
    first, second = logits_of([one], 4), logits_of([two], 4)
    assert IOU.agreement(first, second) == pytest.approx(np.mean(np.asarray(one) == np.asarray(two)))
    score = IOU.score(first, np.asarray([[two]]))
    assert 0 <= score.value <= score.others["f1"] <= 1
    assert (score.value == 1) == (one == two)
