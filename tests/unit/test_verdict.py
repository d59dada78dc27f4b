"""No regret: what keeps a stage and what rolls it back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.pipeline.verdict import Figures, judge
from edgekit.recipe import Gain

BEFORE = Figures(macs=100, memory=100, size=100, compressed_size=90, accuracy=0.99, latency_ms=2.0)


def verdict(
    after: Figures, *counts: Gain, floor: float | None = 0.98, on_target: bool = True, recovers: bool = False
) -> tuple[bool, str]:
    found = judge(BEFORE, after, counts=counts, floor=floor, on_target=on_target, recovery_follows=recovers)
    return found.kept, found.reason


def test_a_gain_within_the_budget_is_kept() -> None:
    assert verdict(replace(BEFORE, macs=50), "macs") == (True, "macs -50.0 %")


def test_no_gain_is_rolled_back() -> None:
    assert verdict(BEFORE, "macs", "size") == (False, "no gain on macs, size")


def test_a_gain_that_is_not_counted_does_not_count() -> None:
    assert verdict(replace(BEFORE, size=10), "macs")[0] is False


def test_outside_the_accuracy_budget_is_rolled_back() -> None:
    kept, reason = verdict(replace(BEFORE, macs=50, accuracy=0.97), "macs")
    assert not kept
    assert "97.00 %" in reason
    assert "98.00 %" in reason


def test_a_later_recovery_gets_its_chance() -> None:
    found = judge(
        BEFORE,
        replace(BEFORE, macs=50, accuracy=0.2),
        counts=("macs",),
        floor=0.98,
        on_target=False,
        recovery_follows=True,
    )
    assert found.kept
    assert found.provisional


def test_measured_slower_is_rolled_back_whatever_else_it_gains() -> None:
    kept, reason = verdict(replace(BEFORE, size=25, latency_ms=2.2), "latency", "size")
    assert not kept
    assert reason == "measured slower: p50 2.200 ms against 2.000 ms"


def test_a_proxy_neither_rejects_nor_keeps() -> None:
    kept, reason = verdict(replace(BEFORE, size=25, latency_ms=9.0), "latency", "size", on_target=False)
    assert kept
    assert reason == "size -75.0 %; speed unmeasured"
    assert verdict(replace(BEFORE, latency_ms=1.0), "latency", on_target=False)[0] is False


def test_noise_is_no_gain() -> None:
    assert verdict(replace(BEFORE, latency_ms=1.99), "latency") == (False, "no gain on latency")
    assert verdict(replace(BEFORE, latency_ms=1.9), "latency") == (True, "latency -5.0 %")


def test_noise_is_no_slowdown() -> None:
    assert verdict(replace(BEFORE, size=25, latency_ms=2.03), "latency", "size")[0] is True


def test_a_crash_is_a_rejected_candidate() -> None:
    assert verdict(replace(BEFORE, macs=1, crashed="SIGSEGV killed openvino_cpu"), "macs") == (
        False,
        "SIGSEGV killed openvino_cpu",
    )


@pytest.mark.parametrize("accuracy", [None, 0.5])
def test_without_labels_accuracy_does_not_judge(accuracy: float | None) -> None:
    assert verdict(replace(BEFORE, macs=50, accuracy=accuracy), "macs", floor=None)[0] is True
