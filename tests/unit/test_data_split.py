from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data import batches
from edgekit.data.batching import batch_count, drawn
from edgekit.data.split import Images, Indices, Part, Pixels, cut, normalise, shuffled
from edgekit.errors import InputError
from edgekit.model import Preprocessing

PLAIN = Preprocessing(height=4, width=4, mean=(0.0,), std=(1.0,))


class Numbered:
    """Picture i is filled with i."""

    def read(self, indices: Indices) -> Pixels:
        return np.broadcast_to(indices[:, None, None, None], (len(indices), 1, 4, 4)).astype(np.uint8)


def numbered(count: int, labelled: bool = True) -> Part:
    targets = np.arange(count, dtype=np.int64) % 3
    return Part(Numbered(), np.arange(count), targets if labelled else None, PLAIN, flips=True)


def numbers(images: Images) -> list[int]:
    return [round(float(value) * 255) for value in images[:, 0, 0, 0]]


labels = st.lists(st.integers(0, 4), min_size=1, max_size=120).map(
    lambda found: np.asarray(found, dtype=np.int64)
)


@given(labels, st.randoms(use_true_random=False))
def test_a_cut_is_complete_disjoint_and_stratified(
    targets: np.ndarray[tuple[int], np.dtype[np.int64]], random: object
) -> None:
    keys = [str(index).encode() for index in range(len(targets))]
    rest, held_out = cut(keys, targets, np.arange(len(targets)))
    assert sorted([*rest, *held_out]) == list(range(len(targets)))
    for target in np.unique(targets):
        count = int((targets == target).sum())
        assert (targets[held_out] == target).sum() == max(1, round(0.2 * count))


@given(labels, st.permutations(range(40)))
def test_a_cut_follows_the_content_not_the_order(
    targets: np.ndarray[tuple[int], np.dtype[np.int64]], order: list[int]
) -> None:
    targets = np.resize(targets, 40)
    keys = [str(index).encode() for index in range(40)]
    held_out = {keys[index] for index in cut(keys, targets, np.arange(40))[1]}
    moved = [keys[index] for index in order]
    again = {moved[index] for index in cut(moved, targets[order], np.arange(40))[1]}
    assert held_out == again


def test_new_pictures_hardly_move_old_ones() -> None:
    keys = [str(index).encode() for index in range(1010)]
    targets = np.zeros(1010, dtype=np.int64)
    before = set(cut(keys, targets, np.arange(1000))[1].tolist())
    after = set(cut(keys, targets, np.arange(1010))[1].tolist())
    assert len(before - after) <= 10


def test_equal_pictures_are_not_torn_apart() -> None:
    keys = [str(index // 2).encode() for index in range(400)]
    rest, held_out = cut(keys, np.zeros(400, dtype=np.int64), np.arange(400))
    assert len({keys[index] for index in rest} & {keys[index] for index in held_out}) <= 1


def test_the_fixed_random_order_is_a_permutation_and_mixes() -> None:
    order = shuffled([str(index).encode() for index in range(500)], np.arange(500))
    assert sorted(order) == list(range(500))
    assert abs(np.corrcoef(order, np.arange(500))[0, 1]) < 0.15


def test_normalising_is_the_formula_of_the_preprocessing() -> None:
    ready = Preprocessing(height=1, width=1, mean=(0.5, 0.25), std=(0.5, 2.0))
    pixels = np.asarray([[[[255]], [[0]]]], dtype=np.uint8)
    assert normalise(pixels, ready).ravel().tolist() == [1.0, -0.125]
    assert normalise(pixels, ready).dtype == np.float32


@given(st.integers(1, 70), st.integers(1, 20), st.booleans())
def test_batches_hold_every_picture_once(count: int, batch_size: int, shuffle: bool) -> None:
    rng = np.random.default_rng(0) if shuffle else None
    found = list(batches(numbered(count), batch_size, rng=rng, augment=False))
    assert len(found) == batch_count(count, batch_size)
    sizes = [len(images) for images, _ in found]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    seen = [number for images, _ in found for number in numbers(images)]
    assert sorted(seen) == list(range(count))
    assert shuffle or seen == list(range(count))
    assert all(
        target == number % 3
        for images, targets in found
        for number, target in zip(numbers(images), targets, strict=True)
    )


def test_batches_repeat_with_the_seed_and_change_between_epochs() -> None:
    def epochs(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        return [
            [
                number
                for images, _ in batches(numbered(50), 8, rng=rng, augment=True)
                for number in numbers(images)
            ]
            for _ in range(2)
        ]

    assert epochs(1) == epochs(1) != epochs(2)
    assert epochs(1)[0] != epochs(1)[1]


def test_batches_refuse_what_they_cannot_give() -> None:
    with pytest.raises(InputError, match="no classes"):
        next(batches(numbered(4, labelled=False), 2, rng=None, augment=False))
    with pytest.raises(ValueError, match="rng"):
        next(batches(numbered(4), 2, rng=None, augment=True))


@pytest.mark.parametrize("flips", [False, True])
def test_augmented_pictures_are_shifted_and_mirrored_within_reach(flips: bool) -> None:
    rng = np.random.default_rng(0)
    one = rng.random((1, 2, 64, 64), dtype=np.float32)
    padded = np.pad(one[0], ((0, 0), (3, 3), (3, 3)), mode="edge")
    moved = [padded[:, top : top + 64, left : left + 64] for top in range(7) for left in range(7)]
    known = {view.tobytes() for view in moved} | (
        {view[..., ::-1].tobytes() for view in moved} if flips else set()
    )
    many = np.repeat(one, 600, axis=0)
    result = drawn(len(many), many.shape[2:], np.random.default_rng(1), flips=flips).applied(many)
    seen = {view.tobytes() for view in result}
    assert seen <= known
    assert len(seen) > 0.9 * len(known), "every shift occurs, to the edges"
