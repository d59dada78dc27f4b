"""The history of latencies: appended, never mixed over fingerprints, lasting changes found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_files import Noisy, artifact

from edgekit.errors import InputError
from edgekit.gate import gate, history
from edgekit.gate.case import Case, Limits, open_case
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


def test_values_that_are_almost_alike_make_no_drift_of_a_hair() -> None:
    assert history.drifts(series([5.0] * 15 + [5.001] * 15)) == []
    assert len(history.drifts(series([5.0] * 15 + [5.1] * 15))) == 1


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


GOOD = (
    '{"time": "2026-01-01T00:00:00Z", "case": "net", "sha256": "0", "p50_ms": 1.5, "verdict": "pass", '
    '"fingerprint": {}}'
)


@pytest.mark.parametrize(
    "line",
    [
        GOOD.replace("1.5", "0"),
        GOOD.replace("1.5", "-1.5"),
        GOOD.replace("1.5", "NaN"),
        GOOD.replace("1.5", "Infinity"),
        GOOD.replace("00Z", "00"),
        "<<<<<<< HEAD",
    ],
)
def test_values_that_are_no_latency_are_refused_by_their_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "latency.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n")
    with pytest.raises(InputError, match="line 3"):
        history.read(path)


def test_a_file_that_is_no_text_or_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latency.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    for wrong in (path, tmp_path):
        with pytest.raises(InputError, match="is no history"):
            history.read(wrong)


def test_a_line_that_was_left_open_is_closed_first(tmp_path: Path) -> None:
    path = tmp_path / "latency.jsonl"
    path.write_text(GOOD)
    history.append(path, series([5.0]))
    assert [entry.p50_ms for entry in history.read(path)] == [1.5, 5.0]


def test_precisions_options_and_devices_are_series_of_their_own(tmp_path: Path) -> None:
    settings: list[tuple[dict[str, Any], Noisy, int]] = [
        ({}, Noisy(), 2),
        ({"precision": "fp32"}, Noisy(), 2),
        ({"runtime_options": {"allow_spinning": "0"}}, Noisy(), 2),
        ({}, Noisy(), 4),
        ({}, Renamed(), 2),
    ]
    found = [
        gate([opened(tmp_path / str(number), **changed)], device, threads=threads)
        for number, (changed, device, threads) in enumerate(settings)
    ]
    entries = [entry for result in found for entry in history.entries_of(result, START)]
    assert len({frozenset(entry.fingerprint.items()) for entry in entries}) == len(found)
    assert entries[0].fingerprint == {
        "cpu": "script",
        "threads": "2",
        "device": "noisy",
        "model": "net",
        "precision": "int8",
        "runtime": "onnxruntime 1.0",
        "options": "",
    }


class Renamed(Noisy):
    name = "another"


def opened(folder: Path, **changed: Any) -> Case:
    sides = artifact(folder / "base", **changed), artifact(folder / "candidate", **changed)
    return open_case(*sides, max_regression=0.05, metric="p50", limits=Limits())
