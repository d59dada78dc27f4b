"""A whole run on a machine that is the Jetson, with a stand-in for trtexec: measured there, decided there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import request

from edgekit.artifact import load_artifact
from edgekit.pipeline import compress, proof, resolve


@pytest.mark.usefixtures("brief")
def test_where_int8_is_the_slower_engine_fp16_ships(
    install: Callable[..., Path], jetson: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(milliseconds={"int8": 0.9, "fp16": 0.6, "fp32": 1.1})
    monkeypatch.setattr(proof, "SAMPLES", 2)  # each is a process
    report = compress(resolve(request(tmp_path, target=jetson, recipe="latency-only"))).report
    quantized, shipped = report.steps[1], load_artifact(tmp_path / "run")
    assert not quantized.kept
    assert "faster" in quantized.reason or "slower" in quantized.reason
    assert shipped.manifest.precision == report.artifact.precision == "fp16"
    assert shipped.model_path.name == "model-fp16.onnx"
    assert report.profile is not None
    assert report.profile["where"].startswith("measured:local")
    assert report.profile["p50_ms"] == pytest.approx(0.7, rel=0.1)
    assert report.profile["p99_ms"] >= report.profile["p90_ms"] >= report.profile["p50_ms"]
    assert report.parity is not None
    assert report.parity.runtime == "tensorrt"
    assert report.parity.device == report.profile["device"]
    assert report.parity.sqnr_db > 30
    assert report.artifact.next_steps == ()
    assert not any("build_engine" in note for note in report.artifact.notes)
    assert any("device/" in note for note in report.artifact.notes)
    assert {rival.precision for rival in report.rivals} >= {"f16"}
    made = {path.name for path in (tmp_path / "run/device").rglob("*")}
    assert {"model-fp16.engine", "model-fp16.profile.json", "timing-10.3.0.cache"} <= made
