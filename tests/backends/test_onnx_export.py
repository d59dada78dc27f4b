"""ONNX and OpenVINO files: the network that they came from, in integers, the same bytes wherever they are made."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.bench import Candidate, Protocol, measure, predict
from edgekit.checkpoint import save_model
from edgekit.devices import open_device
from edgekit.errors import EdgekitError, InputError
from edgekit.exporters import export, integer_counts, weights_in
from edgekit.files import sha256
from edgekit.model import Event, Model
from edgekit.parity import Array, sqnr_db
from edgekit.quantizer.outputs import network_outputs
from edgekit.stages.sparsity import holds, project
from edgekit.target import load_target

BRIEF = Protocol(blocks=1, warmup_seconds=0.02, min_seconds=0.02, max_seconds=0.5, min_samples=5)
Quantized = Callable[[str], Model]


def exported(model: Model, target: str, folder: Path, images: Array) -> ArtifactFolder:
    folder.mkdir()
    return export(model, load_target(target), folder, images[:2])


def executed_integers(artifact: ArtifactFolder, runtime: str) -> tuple[int, int]:
    profile = measure(Candidate("file", artifact, runtime), open_device("local"), threads=1, protocol=BRIEF)
    return profile.executed.integer_operators, profile.executed.float_operators


@pytest.mark.parametrize("target", ["jetson", "host", "intel-cpu"])
def test_int8_is_the_networks_and_really_int8(
    target: str, quantized: Quantized, images: Array, tmp_path: Path
) -> None:
    model, runtime = quantized(target), load_target(target).proxy_runtime
    artifact = exported(model, target, tmp_path / "out", images)
    outputs = predict(artifact, runtime, images, open_device("local"))
    assert sqnr_db(network_outputs(model, images), outputs) >= 25
    assert integer_counts(artifact).integer == integer_counts(artifact).weighted == 53
    parameters = sum(weight.numel() for weight in model.module.parameters())
    assert artifact.size_bytes < 2.2 * parameters  # a byte a weight, and the graph
    assert {weight.dtype for weight in weights_in(artifact).values()} == {np.dtype("int8")}


def test_openvino_runs_every_weighted_operator_on_integers(
    quantized: Quantized, images: Array, tmp_path: Path
) -> None:
    artifact = exported(quantized("intel-cpu"), "intel-cpu", tmp_path / "out", images)
    assert executed_integers(artifact, "openvino") == (53, 0)


def test_float_is_exact_and_counted_as_float(narrow: Model, images: Array, tmp_path: Path) -> None:
    artifact = exported(narrow, "host", tmp_path / "out", images)
    outputs = predict(artifact, "onnxruntime", images, open_device("local"))
    assert sqnr_db(network_outputs(narrow, images), outputs) > 100
    assert (integer_counts(artifact).integer, integer_counts(artifact).weighted) == (0, 53)
    assert executed_integers(artifact, "onnxruntime")[0] == 0


def test_known_answers_travel_with_the_file(quantized: Quantized, images: Array, tmp_path: Path) -> None:
    artifact = load_artifact(exported(quantized("host"), "host", tmp_path / "out", images).folder)
    inputs, outputs = artifact.parity()
    assert sqnr_db(outputs, predict(artifact, "onnxruntime", inputs, open_device("local"))) >= 25


def test_a_changed_byte_is_noticed(narrow: Model, images: Array, tmp_path: Path) -> None:
    artifact = exported(narrow, "host", tmp_path / "out", images)
    content = bytearray(artifact.model_path.read_bytes())
    content[len(content) // 2] ^= 1
    artifact.model_path.write_bytes(content)
    with pytest.raises(InputError, match="was changed"):
        load_artifact(artifact.folder)


def test_nothing_tells_where_a_file_was_made(quantized: Quantized, images: Array, tmp_path: Path) -> None:
    content = exported(quantized("jetson"), "jetson", tmp_path / "out", images).model_path.read_bytes()
    assert b".py" not in content
    assert str(Path.cwd()).encode() not in content
    assert onnx.load_from_string(content).producer_name == "pytorch"


@pytest.mark.parametrize("target", ["jetson", "intel-cpu"])
def test_another_process_writes_the_same_bytes(
    target: str, quantized: Quantized, images: Array, tmp_path: Path
) -> None:
    own = exported(quantized(target), target, tmp_path / "own", images)
    save_model(quantized(target), tmp_path / "checkpoint")
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "elsewhere").mkdir()
    script = (
        "import sys, numpy as np, pathlib, edgekit;"
        "from edgekit.exporters import export; from edgekit.target import load_target;"
        "export(edgekit.load(sys.argv[1]), load_target(sys.argv[2]), pathlib.Path('.'), np.load(sys.argv[3])[:2])"
    )
    arguments = [str(tmp_path / "checkpoint"), target, str(tmp_path / "images.npy")]
    subprocess.run([sys.executable, "-c", script, *arguments], cwd=tmp_path / "elsewhere", check=True)
    for name, digest in own.manifest.sha256.items():
        assert sha256(tmp_path / "elsewhere" / name) == digest, name


def test_a_pattern_survives_folding_and_int8(quantized: Quantized, images: Array, tmp_path: Path) -> None:
    module, layer = copy.deepcopy(quantized("jetson").module), "features.8.conv.2"
    project(module, {layer: "2:4"})
    model = quantized("jetson").after(Event(stage="sparsify", summary=layer), module=module)
    artifact = exported(model, "jetson", tmp_path / "out", images)
    stored = {name: torch.tensor(weight) for name, weight in weights_in(artifact).items()}
    assert holds(stored[layer], "2:4")
    assert not holds(stored["features.9.conv.2"], "2:4")


def test_an_unpruned_checkpoint_of_another_network_is_refused(tmp_path: Path, narrow: Model) -> None:
    save_model(narrow, tmp_path)
    structure = tmp_path / "structure.json"
    structure.write_text(structure.read_text().replace('"mobilenetv2"', '"nosuchnet"', 2))
    from edgekit.checkpoint import load_model

    with pytest.raises(EdgekitError, match="unknown model 'nosuchnet'"):
        load_model(tmp_path)
