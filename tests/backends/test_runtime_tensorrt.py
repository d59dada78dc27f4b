"""TensorRT's runtime in children, with a stand-in for trtexec of 10.3 and of 11: what it asks, gives, brings back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gate_files
import numpy as np
import pytest
import trtexec_stand_in as stand_in
from typer.testing import CliRunner

from edgekit.artifact import Artifact, ArtifactFolder
from edgekit.bench import Candidate, Protocol, compare, float_candidates, measure, predict
from edgekit.bench.candidate import job
from edgekit.bench.latency import blocks_by_turns
from edgekit.bench.layers import Timed, time_operators
from edgekit.cli.app import app
from edgekit.devices import Answer
from edgekit.devices.local import Local
from edgekit.exporters import integer_counts
from edgekit.measurement import Profile
from edgekit.parity import sqnr_db
from edgekit.runtimes import tensorrt_trtexec

DEVICE = Local()
SHORT = Protocol(blocks=2, warmup_seconds=0.01, min_seconds=0.02, min_samples=20)
ONCE = replace(SHORT, blocks=1)
VERSIONS = ("10.3.0", "11.1.0")

Install = Callable[..., Path]


def candidate(artifact: ArtifactFolder, name: str = "int8", **options: str) -> Candidate:
    return Candidate(name, artifact, "tensorrt", options)


def half(artifact: ArtifactFolder) -> ArtifactFolder:
    rival = artifact.rival("fp16")
    assert rival is not None
    return rival


def asked(folder: Path, flag: str) -> list[list[str]]:
    """The calls that held a flag."""
    return [call for call in stand_in.calls(folder) if any(word.startswith(flag) for word in call)]


@pytest.mark.parametrize("version", VERSIONS)
def test_int8_and_its_fp16_rival_are_timed_side_by_side(
    install: Install, int8: ArtifactFolder, version: str
) -> None:
    tools = install(version)
    sides = [candidate(int8), candidate(half(int8), "f16")]
    found = compare(sides, DEVICE, threads=1, protocol=SHORT)
    weighted = integer_counts(int8).integer
    for name, middle, ran in (("int8", 0.5, (weighted, 0)), ("f16", 0.7, (0, weighted))):
        profile = found[name]
        assert isinstance(profile, Profile), profile
        assert profile.runtime_version == version
        assert profile.p50_ms == pytest.approx(middle, rel=0.1), "transfers are part of it"
        assert float(profile.executed.details["gpu_compute_p50_ms"]) == pytest.approx(middle - 0.1, rel=0.1)
        assert float(profile.executed.details["h2d_p50_ms"]) == stand_in.TRANSFER_MS
        assert (profile.executed.integer_operators, profile.executed.float_operators) == ran
        assert profile.executed.operators["CaskConvolution"] + profile.executed.operators["gemm"] == weighted
        assert profile.executed.details["cuda_graph"] == "Enabled"
        assert profile.executed.details["data_transfers"] == "Enabled"
        assert profile.executed.details["selected_device"] == "Orin"
        assert all(len(block) >= 20 for block in profile.blocks_ns)
        assert all(sum(block) >= 9e6 for block in profile.warmup_ns), "10 ms of warm-up, kept apart"
        assert min(profile.load_ns) > 0
    float16 = found["f16"]
    assert isinstance(float16, Profile)
    assert float16.executed.float_precision == "f16"
    builds = asked(tools, "--onnx")
    assert len(builds) == 2, "an engine is built once, and each block loads it"
    assert [("--stronglyTyped" in build) for build in builds] == [version == "10.3.0"] * 2
    assert all(
        {"--skipInference", "--profilingVerbosity=detailed", "--sparsity=enable"} <= {*build}
        for build in builds
    )
    runs = asked(tools, "--exportTimes")
    assert len(runs) == 4
    ask_for_graph, ask_for_transfers = version == "10.3.0", version == "11.1.0"
    assert all(("--useCudaGraph" in run) == ask_for_graph for run in runs)
    assert all(("--includeDataTransfers" in run) == ask_for_transfers for run in runs)
    assert all("--exposeDMA" in run for run in runs)


def test_engine_profile_layers_and_timing_cache_are_brought_back(
    install: Install, int8: ArtifactFolder
) -> None:
    install()
    answers = [
        DEVICE.call(
            job("latency", candidate(int8), threads=1, timeout_s=60, limits=ONCE.limits, keep=True),
            int8.parity()[0][:1],
        )
        for _ in range(2)
    ]
    for answer in answers:
        assert isinstance(answer, Answer), answer
        kept = answer.kept
        assert kept["model.engine"].endswith(int8.model_path.read_bytes())
        assert json.loads(kept["model.profile.json"])[0] == {"count": 20}
        assert len(json.loads(kept["model.layers.json"])["Layers"]) > integer_counts(int8).integer
        assert kept["timing-10.3.0.cache"].count(b"kernels") == 1, "the second process built nothing"
    assert b"Engine built" in answers[0].kept["model.building.log"]  # type: ignore[union-attr]


def test_a_layer_s_time_is_the_profiler_s_average(install: Install, int8: ArtifactFolder) -> None:
    install()
    found = time_operators(candidate(int8), DEVICE, threads=1)
    assert isinstance(found, Timed), found
    assert found.inferences == 20
    assert {operator.time_ns for operator in found.operators} == {1e5}
    assert found.inference_ns == pytest.approx(1e5 * len(found.operators))


def test_engines_that_were_not_used_for_long_go(
    install: Install, int8: ArtifactFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of its own"))
    measure(candidate(int8), DEVICE, threads=1, protocol=ONCE)
    cache = tmp_path / "of its own/edgekit/tensorrt"
    (engine,) = cache.glob("*.engine*")
    for age, name in ((7, "old.engine"), (8, "half.engine.1.part"), (9, "recent.engine")):
        (cache / name).write_bytes(bytes(1000))
        os.utime(cache / name, (age, age))
    monkeypatch.setattr(tensorrt_trtexec, "CACHE_BYTES", engine.stat().st_size + 2500)
    tensorrt_trtexec.evict(cache)
    assert {path.name for path in cache.glob("*.engine*")} == {
        engine.name,
        "half.engine.1.part",
        "recent.engine",
    }
    monkeypatch.setattr(tensorrt_trtexec, "CACHE_BYTES", 1)
    tensorrt_trtexec.evict(cache)
    assert [*cache.glob("*.engine*")] == [engine], "what was just built stays, whatever its size"


def test_nothing_is_used_again_without_a_cache(
    install: Install, int8: ArtifactFolder, tmp_path: Path
) -> None:
    tools = install()
    measure(candidate(int8, cache=""), DEVICE, threads=1, protocol=SHORT)
    assert len(asked(tools, "--onnx")) == SHORT.blocks
    assert not (tmp_path / "home/.cache/edgekit").exists()


def test_another_version_builds_its_own_engine(
    install: Install, int8: ArtifactFolder, tmp_path: Path
) -> None:
    for version in VERSIONS:
        tools = install(version)
        measure(candidate(int8), DEVICE, threads=1, protocol=ONCE)
        assert len(asked(tools, "--onnx")) == 1
    cache = tmp_path / "home/.cache/edgekit/tensorrt"
    assert len([*cache.glob("*.engine")]) == 2
    assert {path.name for path in cache.glob("timing-*")} == {
        f"timing-{version}.cache" for version in VERSIONS
    }


def test_known_answers_are_computed_on_the_device(install: Install, int8: ArtifactFolder) -> None:
    tools = install()
    inputs, expected = int8.parity()
    outputs = predict(int8, "tensorrt", inputs[:3], DEVICE)
    assert outputs.shape == expected[:3].shape
    assert sqnr_db(expected[:3], outputs) > 30
    assert len(asked(tools, "--loadInputs")) == 3
    sixteen = predict(half(int8), "tensorrt", inputs[:1], DEVICE)
    assert sqnr_db(expected[:1], sixteen) > 10
    assert not np.array_equal(sixteen, outputs[:1])


def test_a_float_file_runs_in_both_of_its_files(install: Install, tmp_path: Path) -> None:
    install()
    companions = ("model-fp16.onnx", "build_engine.sh")
    hashes = {"model.onnx": "1", "model-fp16.onnx": "2", "build_engine.sh": "3"}
    folder = gate_files.artifact(tmp_path / "float", precision="fp32", companions=companions, sha256=hashes)
    plain = Artifact.model_validate_json((folder / "manifest.json").read_text()).at(folder)
    found = float_candidates(plain, "tensorrt", DEVICE)
    assert {one.name: one.artifact.model_path.name for one in found} == {
        "f32": "model.onnx",
        "f16": "model-fp16.onnx",
    }
    rival = found[1].artifact
    assert rival.manifest.precision == "fp16"
    assert [path.name for path in rival.model_files] == ["model-fp16.onnx"]
    assert rival.sha256 != plain.sha256
    assert plain.rival("bf16") is None
    assert rival.rival("fp16") is None


def test_sides_take_turns_with_short_loops(install: Install, int8: ArtifactFolder) -> None:
    tools = install()
    limits = ONCE.limits | {"turn_seconds": 0.01}
    sides = candidate(int8), candidate(half(int8), "f16")
    work = [(side, job("latency", side, threads=1, timeout_s=60, limits=limits)) for side in sides]
    for outcome in blocks_by_turns(work, DEVICE, turns=2):
        assert isinstance(outcome, Answer), outcome
        assert len(outcome.values["turns"]) == 2
        assert sum(outcome.values["turns"]) == len(outcome.values["samples_ns"])
        assert outcome.values["peak_rss_bytes"] > 10**6
    stems = [Path(call[0]).stem for call in asked(tools, "--exportTimes")]
    assert stems[-4:] in (
        ["model", "model-fp16", "model-fp16", "model"],
        ["model-fp16", "model", "model", "model-fp16"],
    )


def profile(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["profile", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_on_a_jetson_an_artifact_is_profiled_in_tensorrt(
    install: Install, int8: ArtifactFolder, jetson: str, tmp_path: Path
) -> None:
    install(milliseconds={"int8": 0.9})
    told = json.loads(
        profile(str(int8.folder), "--target", jetson, "--keep", str(tmp_path / "kept"), "--json")
    )
    assert told["latency"]["where"].startswith("measured:local")
    assert told["latency"]["runtime"] == "tensorrt"
    assert told["latency"]["p50_ms"] == pytest.approx(1.0, rel=0.1), (
        "the file that ships, though it is the slower"
    )
    assert told["rivals"]["f16"]["p50_ms"] == pytest.approx(0.7, rel=0.1)
    assert {path.relative_to(tmp_path / "kept").as_posix() for path in (tmp_path / "kept").rglob("*.*")} > {
        "int8/model.engine",
        "int8/model.profile.json",
        "int8/model.layers.json",
        "int8/timing-10.3.0.cache",
        "f16/model-fp16.engine",
    }


def test_a_rival_that_failed_is_told_beside_the_latency(
    install: Install, int8: ArtifactFolder, jetson: str
) -> None:
    install(fault="no memory", only="model-fp16")
    text = profile(str(int8.folder), "--target", jetson)
    assert "tensorrt 10.3.0" in text
    assert "beside it, f16  failed: RuntimeError: trtexec failed while building the engine" in text


def test_elsewhere_jetsons_file_is_profiled_in_its_proxy(install: Install, int8: ArtifactFolder) -> None:
    tools = install()
    told = json.loads(profile(str(int8.folder), "--target", "jetson", "--json"))
    assert told["latency"]["where"].startswith("proxy:onnxruntime")
    assert told["rivals"] == {}
    assert stand_in.calls(tools) == []
