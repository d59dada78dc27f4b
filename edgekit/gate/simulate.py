"""The gate against noise whose truth is known: how often it cries wolf, how often it sleeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import signal

from edgekit.gate.interval import inner, resolved
from edgekit.gate.plan import Decision, Plan

Array = np.ndarray[Any, Any]
Noise = Callable[[np.random.Generator, int], Array]
SPREAD = 0.01 / np.sqrt(2)
"""Standard deviation of a block median's logarithm: paired log-ratios of an idle machine spread 1 %."""
DECISIONS: tuple[Decision, ...] = ("pass", "fail", "inconclusive")


def _steady(random: np.random.Generator, blocks: int) -> Array:
    return random.normal(0, SPREAD, blocks)


def _autocorrelated(random: np.random.Generator, blocks: int) -> Array:
    """Each block remembers the one before: AR(1) with 0.8."""
    remembered: Array = signal.lfilter([1], [1, -0.8], random.normal(0, SPREAD, blocks))
    return remembered


def _drifting(random: np.random.Generator, blocks: int) -> Array:
    """The machine warms up: 10 % over the whole session."""
    return _steady(random, blocks) + np.linspace(0, 0.1, blocks)


def _spiky(random: np.random.Generator, blocks: int) -> Array:
    """One block in twenty caught something that made it a tenth slower on average."""
    caught = random.random(blocks) < 0.05
    return _steady(random, blocks) + np.where(caught, random.exponential(0.1, blocks), 0)


def _bimodal(random: np.random.Generator, blocks: int) -> Array:
    """A process comes out in one of two memory layouts, 3 % apart, and keeps it."""
    return _steady(random, blocks) + np.where(random.random(blocks) < 0.5, 0.03, 0)


NOISES: dict[str, Noise] = {
    "steady": _steady,
    "autocorrelated": _autocorrelated,
    "drifting": _drifting,
    "spiky": _spiky,
    "bimodal": _bimodal,
}


def rates(plan: Plan, noise: str | Noise, *, effect: float, runs: int, seed: int) -> dict[Decision, float]:
    """The share of `runs` sessions that end in each verdict when the candidate is slower by `effect`.

    `noise` gives the logarithms of consecutive blocks' medians; blocks are laid out A B B A, as a gate does.
    """
    make = NOISES[noise] if isinstance(noise, str) else noise
    random = np.random.default_rng(seed)
    found = Counter(_session(plan, make(random, 2 * plan.looks[-1]), effect) for _ in range(runs))
    return {decision: found[decision] / runs for decision in DECISIONS}


def _session(plan: Plan, blocks: Array, effect: float) -> Decision:
    pairs = blocks.reshape(-1, 2)
    base_first = np.arange(len(pairs)) % 2 == 0
    ratios = np.log1p(effect) + np.where(base_first, 1, -1) * (pairs[:, 1] - pairs[:, 0])
    for look in plan.looks:
        decision = decided(plan, ratios[:look].tolist())
        if decision != "inconclusive":
            return decision
    return "inconclusive"


def decided(plan: Plan, log_ratios: list[float]) -> Decision:
    """What `plan.judge` decides, without the bootstrap where an interval that lies inside its own leaves it open."""
    unresolved = not resolved(len(log_ratios), plan.confidence)
    if unresolved and plan.decide(inner(log_ratios, plan.confidence)) == "inconclusive":
        return "inconclusive"
    return plan.judge(log_ratios)[0]


def recorded(log_ratios: Array, run: int = 8) -> Noise:
    """Noise fitted to recorded pairs of a file with itself, ln(second / first): runs of neighbours drawn anew.

    Their memory stays in the runs (moving blocks); all of a pair's noise is laid on its second block.
    """
    values = np.asarray(log_ratios, dtype=np.float64) - np.median(log_ratios)

    def draw(random: np.random.Generator, blocks: int) -> Array:
        pairs = blocks // 2
        starts = random.integers(0, len(values) - run + 1, -(-pairs // run))
        drawn = np.concatenate([values[start : start + run] for start in starts])[:pairs]
        return np.column_stack([np.zeros(pairs), drawn]).ravel()

    return draw
