"""A small network's file in every runtime: each of its layers has a row with the network's own name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from exporting import exported, quantized
from small_networks import Gated, Residual, Shuffled, Twice, model_of

from edgekit.artifact import ArtifactFolder
from edgekit.bench import Candidate, Failure
from edgekit.bench.layers import time_operators
from edgekit.devices.local import Local
from edgekit.errors import MeasurementError
from edgekit.exporters import file_operators
from edgekit.graph.cost import cost
from edgekit.pipeline.layer_times import layer_times, layers_of_run, required
from edgekit.report import LayerTimes, Report

TARGETS = {"onnxruntime": "host", "openvino": "intel-cpu", "litert": "android"}
NETWORKS = {"residual": Residual, "shuffled": Shuffled, "gated": Gated, "twice": Twice}


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> ArtifactFolder:
    """`Twice` for this machine."""
    return exported(model_of(Twice), "host", tmp_path_factory.mktemp("twice") / "artifact")


def times(folder: Path, network: str, runtime: str, *, int8: bool) -> tuple[LayerTimes, list[str]]:
    """The times, and the names of the layers that have weights."""
    target = TARGETS[runtime]
    model = quantized(NETWORKS[network], target) if int8 else model_of(NETWORKS[network])
    artifact = exported(model, target, folder / "artifact")
    layers = cost(model.module, model.input_shape).layers
    found = layer_times(
        Candidate(network, artifact, runtime), Local(), layers, threads=1, source="measured:here"
    )
    assert isinstance(found, LayerTimes), found
    assert found.macs == sum(layer.macs for layer in layers)
    return found, [layer.name for layer in layers if layer.params]


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("runtime", TARGETS)
def test_every_layer_with_weights_was_run_under_its_name(tmp_path: Path, runtime: str, *, int8: bool) -> None:
    found, weighted = times(tmp_path, "residual", runtime, int8=int8)
    ran = {part: row for row in found.rows if row.operators for part in row.name.split(" + ")}
    assert set(weighted) <= set(ran), set(weighted) - set(ran)
    assert all(ran[name].macs for name in weighted)
    assert {"features.2", "features.3", "mean"} <= set(ran)  # the sums and the pooling too
    assert sum(ran[name].time_ns for name in weighted) > 0
    assert found.total_ns == pytest.approx(sum(row.time_ns for row in found.rows))
    assert (found.threads, found.runtime, found.source) == (1, runtime, "measured:here")


@pytest.mark.parametrize(
    ("network", "runtime"),
    [
        ("shuffled", "openvino"),
        ("shuffled", "litert"),
        ("gated", "onnxruntime"),
        ("gated", "litert"),
        ("twice", "openvino"),
    ],
)
def test_other_networks_operators(tmp_path: Path, network: str, runtime: str) -> None:
    """Shuffles, gates, transposed convolutions; a layer that is used twice has two rows."""
    found, weighted = times(tmp_path, network, runtime, int8=network == "shuffled")
    names = [part for row in found.rows if row.operators for part in row.name.split(" + ")]
    for name in set(weighted):
        assert names.count(name) == weighted.count(name), name


def test_a_file_without_a_run_names_its_layers_alone(twice: ArtifactFolder) -> None:
    assert [one.layer for one in file_operators(twice) if one.layer] == [
        *("stem", "shared", "shared", "classifier"),
    ]
    assert layers_of_run(twice.folder) == ()
    found = layer_times(
        Candidate("twice", twice, "onnxruntime"), Local(), (), threads=1, source="measured:here"
    )
    assert isinstance(found, LayerTimes)
    assert [row.name for row in found.rows if row.name in {"stem", "shared", "classifier"}] == [
        *("stem", "shared", "shared", "classifier"),
    ]
    assert all(row.macs is None for row in found.rows)


def test_a_run_knows_its_layers(tmp_path: Path, twice: ArtifactFolder, report: Report) -> None:
    shutil.copytree(twice.folder, tmp_path / "artifact")
    report.write(tmp_path)
    expected = [layer.name for layer in report.layers]
    for path in (tmp_path, tmp_path / "artifact", tmp_path / "artifact" / "model.onnx"):
        assert [layer.name for layer in layers_of_run(path)] == expected


def test_a_file_that_no_runtime_opens_is_a_failure(tmp_path: Path) -> None:
    artifact = exported(model_of(Twice), "android", tmp_path / "artifact")
    artifact.model_path.write_bytes(artifact.model_path.read_bytes()[:200])
    outcome = time_operators(Candidate("cut", artifact, "litert"), Local(), threads=1)
    assert isinstance(outcome, Failure)
    with pytest.raises(MeasurementError, match="litert gave no times of its operators"):
        required(outcome, "litert")
