"""What the tools of others make of a bundle; `make test-bundle` fetches them.

The standard reader of TFLite Metadata (tflite-support) reads the .tflite; the Kotlin compiler compiles the code
against stand-ins of Android and LiteRT, and its preprocessing and its comparisons run.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bundles import bundled
from exporting import exported, quantized
from small_networks import Residual

pytestmark = pytest.mark.tools
HERE, TOOLS = Path(__file__).parent, Path(__file__).parents[2] / ".tools"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phone")
    return bundled(
        exported(quantized(Residual, "android"), "android", folder / "artifact"), folder / "edgekit"
    )


def test_the_standard_reader_reads_name_normalisation_and_labels(bundle: Path) -> None:
    command: list[str | Path] = [
        TOOLS / "reader/bin/python",
        HERE / "read_metadata.py",
        bundle / "model.tflite",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["metadata"]["name"] == "residual"
    (graph,) = told["metadata"]["subgraph_metadata"]
    ((fed,), (given,)) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    (unit,) = fed["process_units"]
    assert unit["options_type"] == "NormalizationOptions"
    assert unit["options"] == {"mean": [127.5] * 3, "std": [63.75] * 3}
    assert fed["content"]["content_properties"]["color_space"] == "RGB"
    assert given["associated_files"][0]["type"] == "TENSOR_AXIS_LABELS"
    assert told["packed"] == {"labels.txt": (bundle / "labels.txt").read_text()}


def test_the_kotlin_compiles_and_preprocesses_the_picture(bundle: Path, tmp_path: Path) -> None:
    sources = sorted(map(str, (HERE / "stubs").glob("*.kt")))
    compiler = TOOLS / "node_modules/kotlin-compiler/bin/kotlinc"
    jar = tmp_path / "app.jar"
    command: list[str | Path] = [
        "bash",
        compiler,
        *sources,
        bundle / "EdgekitModel.kt",
        "-include-runtime",
        "-d",
        jar,
    ]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr
    assert "error:" not in compiled.stderr
    app: list[str | Path] = ["java", "-cp", jar, "MainKt", bundle.parent, bundle.name]
    picture = np.frombuffer((bundle / "known/output-picture.f32").read_bytes(), "<f4")
    for answer, failed in (
        (picture, []),
        (picture + np.float32(1), ["output-0", "output-1", "output-2", "output-picture"]),
        (picture * np.float32("nan"), ["output-0", "output-1", "output-2", "output-picture"]),
    ):
        (tmp_path / "answer.f32").write_bytes(answer.tobytes())
        environment = os.environ | {"KNOWN_OUTPUT": str(tmp_path / "answer.f32")}
        done = subprocess.run(app, capture_output=True, text=True, check=True, env=environment)
        # The stand-in of LiteRT answers everything with this. The network's weights are random: its answers are alike.
        assert [line.split()[0] for line in done.stdout.splitlines()] == failed
    (bundle / "known/input-picture.f32").write_bytes(bytes(32 * 32 * 3 * 4))
    spoilt = subprocess.run(app, capture_output=True, text=True, check=True, env=environment)
    assert "input-picture is off by" in spoilt.stdout
