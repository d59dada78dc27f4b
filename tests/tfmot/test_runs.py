"""Whole runs through TF-MOT: a zoo network over the bridge, and a Keras file, to the report and the shipped file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_runs import request

from edgekit.artifact import load_artifact
from edgekit.data.split import Data
from edgekit.errors import InputError
from edgekit.exporters.litert_layers import layer_weights
from edgekit.pipeline import compress, resolve
from edgekit.pipeline.evaluating import evaluate
from edgekit.pipeline.loading import load
from edgekit.request import Request
from edgekit.zoo import architecture

pytestmark = pytest.mark.tfmot
CLUSTER = """
[[stages]]
kind = "tfmot-cluster"
preserve_sparsity = true
epochs = 2
"""
SPARSE = """
[[stages]]
kind = "tfmot-prune"
sparsity = {sparsity}
epochs = 2
end = 1.5
every = 2
"""


def recipe(folder: Path, stages: str, drop: float) -> str:
    path = folder / "small.toml"
    path.write_text(
        f'id = "small"\ntitle = "small"\n[train]\nepochs = 6\n{stages}\n[budget]\naccuracy_drop = {drop}\n'
    )
    return str(path)


def test_a_network_of_the_zoo(tmp_path: Path) -> None:
    """The zeros are in the shipped file, which leaves them out, and its accuracy is that of the file."""
    stages = recipe(tmp_path, SPARSE.format(sparsity=0.8), 100)
    run = compress(resolve(request(tmp_path, target="raspberry-pi-5", recipe=stages)))
    baseline, pruned, shipped = run.report.steps
    assert pruned.stage == "tfmot-prune"
    assert pruned.kept
    assert pruned.size_bytes < 0.4 * baseline.size_bytes  # type: ignore[operator]
    assert "speed" not in pruned.reason
    assert run.report.parity is not None
    assert run.report.parity.sqnr_db > 60
    found = shipped.details["sparsity_in_file"]
    assert len(found) == 15  # 13 pointwise, the stem and the head
    assert found["conv_stem"].startswith("unstructured@")
    again = load(run.folder)
    assert again.encoding == "sparse"
    artifact = load_artifact(run.folder)
    for name, weight in layer_weights(artifact.model_path).items():
        if name in found:
            assert np.mean(weight == 0) == pytest.approx(0.8, abs=0.006), name
    assert "tensors are sparse; with all of them dense" in " ".join(run.report.artifact.notes)
    assert evaluate(run.folder).accuracy == shipped.accuracy


def test_a_keras_file(
    keras_file: Callable[[int, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own weights and preprocessing; zeros, then clusters that keep them; a bundle for a phone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = Request(
        model=str(keras_file(3, 8)),
        target="android",
        recipe=recipe(tmp_path, SPARSE.format(sparsity=0.6) + CLUSTER, 5),
        data=Path("digits"),
        out=tmp_path / "run",
        threads=1,
    )
    run = compress(resolve(asked))
    baseline, pruned, clustered, shipped = run.report.steps
    assert baseline.reason == "weights of net-3.keras"
    assert baseline.accuracy is not None
    assert shipped.accuracy is not None
    assert baseline.accuracy > 0.9
    assert pruned.kept, pruned.reason
    assert shipped.accuracy >= baseline.accuracy - 0.05
    assert pruned.size_bytes < 0.7 * baseline.size_bytes  # type: ignore[operator]
    assert clustered.kept, clustered.reason
    assert clustered.compressed_size_bytes < 0.5 * pruned.compressed_size_bytes  # type: ignore[operator]
    assert shipped.details["sparsity_in_file"]
    assert not run.report.budget_failures
    assert run.report.parity is not None
    assert run.report.parity.sqnr_db > 60
    assert (run.folder / "bundle.zip").is_file()
    shown = load(run.folder)  # neither Keras nor the file is asked any more
    assert shown.source.name == "net-3.keras"
    assert shown.preprocessing.std == (1 / 255,) * 3


def test_both_versions_of_keras_and_a_function(
    keras_file: Callable[[int, int], Path], digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is held to what Keras gives, or `architecture` would raise."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    old = architecture(str(keras_file(2, 1)))
    (tmp_path / "mine.py").write_text(
        "import keras\ndef small(classes):\n    return keras.Sequential(["
        "keras.Input((16, 16, 3)), keras.layers.Conv2D(8, 3, activation='relu'), "
        "keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(classes)])\n"
        "def gives(what):\n    return what\n"
    )
    monkeypatch.chdir(tmp_path)
    made = architecture("keras:mine:small", ["classes=7"])
    assert old.weights is not None
    assert old.pixels == (0.0, 1 / 255)
    assert (made.weights, made.input_shape, made.name) == (None, (3, 16, 16), "small")
    with pytest.raises(InputError, match="gave a str, no Keras model"):
        architecture("keras:mine:gives", ["what=text"])
