"""The verdict over samples that were drawn so that one thing, or nothing, is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgekit.bench.stability import unsteady
from edgekit.measurement import DeviceState, Executed, Profile

CALM = DeviceState(facts={"governor": "performance"})
Samples = np.ndarray[tuple[int], np.dtype[np.float64]]


def quiet(generator: np.random.Generator, size: int = 300) -> Samples:
    """A millisecond with a skewed tail of a percent, and now and then an interrupt that takes as long again."""
    samples = 1e6 * (1 + 0.01 * generator.gamma(2, 0.5, size))
    samples[generator.random(size) < 0.01] *= 2
    return samples


def slower_each_time(generator: np.random.Generator, block: int) -> Samples:
    return quiet(generator) * (1 + 0.05 * block)


def warming(generator: np.random.Generator, block: int) -> Samples:
    return quiet(generator) * np.linspace(1, 1.12, 300)


def on_two_kinds_of_cores(generator: np.random.Generator, block: int) -> Samples:
    return quiet(generator) * np.where(generator.random(300) < 0.4, 1.3, 1.0)


def anything(generator: np.random.Generator, block: int) -> Samples:
    return 1e6 * generator.uniform(0.6, 1.4, 300)


def few(generator: np.random.Generator, block: int) -> Samples:
    return np.linspace(1e6, 1.04e6, 10)


def blocks(made: Callable[[np.random.Generator, int], Samples], seed: int = 0) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    return [made(generator, block).astype(int).tolist() for block in range(3)]


@pytest.mark.parametrize("seed", range(20))
def test_a_skewed_tail_is_no_reason(seed: int) -> None:
    assert unsteady(blocks(lambda generator, _: quiet(generator), seed), CALM, CALM) == ()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (slower_each_time, "medians of 3 processes differ by 10%"),
        (warming, "latency moves by +1"),
        (on_two_kinds_of_cores, "samples have 2 modes: 1.01, 1.3"),
        (anything, "half of the samples lie further than 19% from the median"),
    ],
)
def test_each_reason_is_told(made: Callable[[np.random.Generator, int], Samples], reason: str) -> None:
    found = unsteady(blocks(made), CALM, CALM)
    assert any(line.startswith(reason) for line in found), found


def test_a_handful_of_samples_tells_neither_drift_nor_modes() -> None:
    assert unsteady(blocks(few), CALM, CALM) == ()
    assert unsteady([], CALM, CALM) == ()
    assert unsteady([[5, 5, 5, 5]], CALM, CALM) == ()


def test_the_machines_own_word_comes_first() -> None:
    after = DeviceState(facts={"governor": "powersave"})
    assert unsteady(blocks(slower_each_time), CALM, after)[0] == "governor went from performance to powersave"


def profile(*unsteady: str) -> Profile:
    return Profile(
        device="some CPU",
        runtime="onnxruntime",
        runtime_version="1.31",
        threads=1,
        blocks_ns=((1_000_000, 2_000_000, 3_000_000), (2_000_000, 10_000_000)),
        warmup_ns=((9_000_000, 1_000_000), (8_000_000,)),
        load_ns=(1, 1),
        unsteady=unsteady,
        executed=Executed(
            operators={"Conv": 1}, integer_operators=0, float_operators=1, float_precision="f32"
        ),
        before=CALM,
        after=CALM,
    )


def test_the_record_says_it_in_words() -> None:
    """Samples 1, 2, 3, 2, 10 ms lie 1, 0, 1, 0, 8 from their median 2: the median of these is 1."""
    summary = profile().summary()
    assert (summary["stability"], summary["mad_ms"], summary["first_ns"]) == (
        "steady",
        1.0,
        (9_000_000, 8_000_000),
    )
    assert profile("a", "b").stability == "unsteady: a; b"
