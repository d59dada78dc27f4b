"""Targets that compute integers alone: a file without a float, read and run; what cannot be one is refused by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from exporting import exported, quantized
from small_networks import Residual, model_of
from torch import nn

from edgekit import files
from edgekit.artifact import MANIFEST, load_artifact
from edgekit.bundle.signature import signatures
from edgekit.errors import InputError
from edgekit.exporters import tensor_parity
from edgekit.exporters.layer_parity import first_departed
from edgekit.exporters.litert_graph import pack, read_graph, unpack
from edgekit.parity import sqnr_db
from edgekit.pipeline.browsing import subject_of
from edgekit.pipeline.exporting import export
from edgekit.pipeline.verifying import verify
from edgekit.runtimes.litert_cpu import Session
from edgekit.target import load_target

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.artifact import ArtifactFolder
    from edgekit.model import Model

TARGETS = ("coral", "microcontroller")


@pytest.fixture(scope="module")
def model() -> Model:
    return quantized(Residual, "coral")


@pytest.fixture(scope="module")
def artifact(model: Model, tmp_path_factory: pytest.TempPathFactory) -> ArtifactFolder:
    return exported(model, "coral", tmp_path_factory.mktemp("integers"))


class Normed(nn.Module):
    """Tokens: a layer norm between linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv2d(3, 8, 8, stride=8)
        self.steadied = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classes (N, 10)."""
        result: torch.Tensor = self.fc(self.steadied(self.cells(x).flatten(2).transpose(1, 2)).mean(1))
        return result


class Curved(nn.Module):
    """A GELU between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.curve = nn.GELU()
        self.last = nn.Conv2d(8, 10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classes (N, 10)."""
        result: torch.Tensor = self.last(self.curve(self.stem(x))).mean((2, 3))
        return result


def test_no_tensor_is_float_and_the_border_is_int8(artifact: ArtifactFolder) -> None:
    graph = read_graph(artifact.model_path.read_bytes())
    used = {index for operator in graph.operators for index in (*operator.inputs, *operator.outputs)}
    assert {graph.tensors[index].dtype for index in used} <= {"INT8", "INT32"}
    assert "DEQUANTIZE" not in {operator.kind for operator in graph.operators}
    manifest = artifact.manifest
    assert (manifest.inputs[0].dtype, manifest.outputs[0].dtype) == ("int8", "int8")
    assert any("no tensor is float" in note for note in manifest.notes)
    assert graph.tensors[graph.inputs[0]].shape == manifest.inputs[0].shape


def test_a_session_feeds_and_reads_by_the_files_own_scales(artifact: ArtifactFolder) -> None:
    images, expected = artifact.parity()
    session = Session(str(artifact.model_path), 1, {})
    assert sqnr_db(expected, np.concatenate([session.run(image[None]) for image in images])) >= 30


def test_layers_are_compared_with_pytorchs_as_ever(model: Model, artifact: ArtifactFolder) -> None:
    images, _ = artifact.parity()
    layers = tensor_parity(model, artifact, images[:1])
    assert len(layers) > 5
    assert first_departed(layers) is None


def test_the_same_network_gives_the_same_bytes(
    model: Model, artifact: ArtifactFolder, tmp_path: Path
) -> None:
    again = exported(model, "coral", tmp_path)
    assert again.manifest.sha256 == artifact.manifest.sha256


def test_verify_reads_the_rules_again(artifact: ArtifactFolder, tmp_path: Path) -> None:
    found = verify(artifact.folder)
    assert found.holds
    (check,) = found.rules
    assert (check.rules, check.breaches) == ("LiteRT's 8-bit quantization", ())
    assert found.document()["rules"][0]["breaches"] == ()


def test_verify_names_the_rule_that_a_file_breaks(artifact: ArtifactFolder, tmp_path: Path) -> None:
    """Its hashes are right and so are its answers: it is its scales that are not by the rules."""
    for name in (*artifact.manifest.sha256, MANIFEST):
        (tmp_path / name).write_bytes((artifact.folder / name).read_bytes())
    path = tmp_path / artifact.manifest.model_file
    held = unpack(path.read_bytes())
    graph = read_graph(path.read_bytes())
    bias = next(each.inputs[2] for each in graph.operators if each.kind == "CONV_2D")
    scales = held.subgraphs[0].tensors[bias].quantization
    scales.scale = [1.001 * scale for scale in scales.scale]
    path.write_bytes(pack(held))
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["sha256"][path.name] = files.sha256(path)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    found = verify(tmp_path)
    assert not found.holds
    assert (
        found.rules[0]
        .breaches[0]
        .endswith("its bias's scale is not that of its input times those of its weight")
    )


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_computed_in_float_is_refused_by_its_module(target: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        exported(quantized(Normed, target), target, tmp_path)
    told = caught.value.what
    assert told.startswith(f"{target} takes integers alone, and float is computed in steadied (")
    assert caught.value.hint == "the nearest that it takes: nn.BatchNorm2d"


def test_an_operator_that_microcontrollers_do_not_have_is_refused_by_its_module(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        exported(quantized(Curved, "microcontroller"), "microcontroller", tmp_path)
    assert caught.value.what == "microcontroller does not have the operator of curve (GELU)"
    assert caught.value.hint == "the nearest that it takes: nn.Hardswish"


def test_what_the_edge_tpu_leaves_to_the_cpu_is_told(tmp_path: Path) -> None:
    notes = exported(quantized(Curved, "coral"), "coral", tmp_path).manifest.notes
    assert any(note.endswith("left to the CPU: GELU of curve") for note in notes)


@pytest.mark.parametrize("target", TARGETS)
def test_a_float_network_is_no_file_for_them(target: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes INT8 files alone, and residual is not quantized"):
        export(lambda: model_of(Residual), target=target, out=tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_quantized_network_is_exported_by_name(model: Model, tmp_path: Path) -> None:
    found = export(lambda: model, target="microcontroller", out=tmp_path / "file")
    assert found.manifest.int8_rules == load_target("microcontroller").file_rules
    assert load_artifact(tmp_path / "file").manifest.inputs[0].dtype == "int8"


def test_a_phones_code_and_a_page_refuse_what_they_cannot_feed(artifact: ArtifactFolder) -> None:
    manifest = artifact.manifest
    with pytest.raises(InputError, match="is int8"):
        signatures(
            artifact.model_path.read_bytes(), manifest.inputs, manifest.outputs, name=manifest.model_file
        )
    with pytest.raises(InputError, match="int8, and a page feeds and reads float32"):
        subject_of(artifact, "litert", 1)
