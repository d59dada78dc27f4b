"""The gate's arithmetic: intervals that cover, looks that buy no false alarms, Holm over cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.gate.interval import slowdown
from edgekit.gate.plan import Plan
from edgekit.gate.simulate import NOISES, decided, rates


@given(
    st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=30),
    st.floats(0.8, 0.999),
)
@settings(max_examples=30, deadline=None)
def test_an_interval_holds_its_estimate(log_ratios: list[float], confidence: float) -> None:
    found = slowdown(log_ratios, confidence)
    assert found.low <= found.estimate + 1e-12
    assert found.estimate <= found.high + 1e-12
    assert slowdown(log_ratios, confidence) == found


def test_swapping_the_sides_turns_the_interval_over() -> None:
    ratios = np.random.default_rng(3).normal(0.03, 0.02, 20)
    there, back = slowdown(ratios.tolist(), 0.95), slowdown((-ratios).tolist(), 0.95)
    assert math.log1p(there.estimate) == pytest.approx(-math.log1p(back.estimate))
    assert math.log1p(there.low) == pytest.approx(-math.log1p(back.high), abs=2e-3)


def test_more_confidence_is_wider_and_more_pairs_are_narrower() -> None:
    ratios = np.random.default_rng(4).normal(0, 0.02, 40).tolist()
    assert slowdown(ratios, 0.999).half_width > slowdown(ratios, 0.9).half_width
    assert slowdown(ratios, 0.99).half_width < slowdown(ratios[:10], 0.99).half_width


@pytest.mark.parametrize(
    ("centre", "decision"), [(0.2, "fail"), (0.0, "pass"), (math.log1p(0.05), "inconclusive")]
)
def test_a_verdict_needs_the_whole_interval_on_one_side(centre: float, decision: str) -> None:
    ratios = (centre + np.random.default_rng(0).normal(0, 0.005, 12)).tolist()
    assert Plan(threshold=0.05).judge(ratios)[0] == decision


def test_the_error_is_shared_among_looks_and_cases() -> None:
    one, four = Plan(error=0.02), Plan(error=0.02, cases=4)
    assert one.confidence == pytest.approx(1 - 0.02 / 5)
    assert four.confidence == pytest.approx(1 - 0.02 / 20)


@pytest.mark.parametrize("noise", sorted(NOISES))
def test_no_noise_makes_equal_files_fail(noise: str) -> None:
    found = rates(Plan(threshold=0.02), noise, effect=0.0, runs=40, seed=1)
    assert found["fail"] == 0


def test_a_true_regression_is_caught_and_one_at_the_threshold_is_not_called() -> None:
    plan = Plan(threshold=0.02)
    assert rates(plan, "steady", effect=0.05, runs=40, seed=2)["fail"] >= 0.95
    assert rates(plan, "steady", effect=0.02, runs=40, seed=3)["fail"] <= 0.05


def test_more_cases_are_wider_also_where_the_resamples_cannot_tell_the_levels_apart() -> None:
    ratios = np.random.default_rng(5).normal(0, 0.01, 10).tolist()
    widths = [Plan(cases=cases).judge(ratios)[1].half_width for cases in (1, 5, 20)]
    assert widths[0] * 1.3 < widths[1] < widths[2] / 1.2


def test_the_first_of_many_cases_looks_keeps_to_the_declared_error() -> None:
    plan, random = Plan(threshold=0.05, cases=20), np.random.default_rng(0)
    centre, first = math.log1p(plan.threshold), plan.looks[0]
    decisions = [plan.judge(random.normal(centre, 0.01, first).tolist())[0] for _ in range(600)]
    assert sum(decision != "inconclusive" for decision in decisions) <= 1


@pytest.mark.parametrize("count", [10, 40])
def test_a_simulation_s_short_cut_decides_as_the_gate_does(count: int) -> None:
    plan, random = Plan(threshold=0.02), np.random.default_rng(6)
    sessions = [random.normal(centre, 0.01, count).tolist() for centre in np.linspace(0, 0.05, 40)]
    decisions = [plan.judge(session)[0] for session in sessions]
    assert len(set(decisions)) == 3
    assert [decided(plan, session) for session in sessions] == decisions
