"""The history of latencies: appended, never mixed over fingerprints, lasting changes found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.gate import history
from edgekit.gate.history import Entry

START = datetime(2026, 1, 1, tzinfo=UTC)


def series(values: list[float], *, cpu: str = "a", case: str = "net") -> list[Entry]:
    return [
        Entry(
            time=START + timedelta(days=day),
            case=case,
            sha256=f"{day:064d}",
            p50_ms=value,
            verdict="pass",
            fingerprint={"cpu": cpu},
        )
        for day, value in enumerate(values)
    ]


def noisy(level: float, count: int, seed: int = 0) -> list[float]:
    return [level * float(np.exp(noise)) for noise in np.random.default_rng(seed).normal(0, 0.01, count)]


def test_a_slow_creep_that_no_gate_saw_is_found() -> None:
    steps = [5.0 * 1.015**step for step in range(4)]
    values = [value for seed, level in enumerate(steps) for value in noisy(level, 10, seed)]
    (drift,) = history.drifts(series(values))
    assert drift.after_ms > 1.01 * drift.before_ms
    assert drift.since >= START + timedelta(days=20)


def test_the_place_of_a_step_is_named() -> None:
    (drift,) = history.drifts(series([*noisy(5, 15), *noisy(5.5, 15, seed=1)]))
    assert drift.since == START + timedelta(days=15)
    assert drift.after_ms / drift.before_ms == pytest.approx(1.1, rel=0.02)


@pytest.mark.parametrize("seed", range(8))
def test_noise_alone_is_no_drift(seed: int) -> None:
    assert history.drifts(series(noisy(5, 40, seed))) == []


def test_fingerprints_and_cases_are_never_mixed() -> None:
    mixed = [*series(noisy(5, 15)), *series(noisy(9, 15), cpu="b"), *series(noisy(7, 15), case="other")]
    assert history.drifts(mixed) == []


def test_lines_are_added_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history" / "latency.jsonl"
    first, second = series([5.0, 6.0])
    history.append(path, [first])
    before = path.read_text()
    history.append(path, [second])
    assert path.read_text().startswith(before)
    assert history.read(path) == [first, second]
    path.write_text(before + "{\n")
    with pytest.raises(InputError, match="line 2"):
        history.read(path)
