"""The bridge: a network's twin in Keras gives what the network gives, and its converter's file too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import Shuffled, model_of

from edgekit.exporters.litert_build import build as litert_file
from edgekit.exporters.litert_graph import DENSIFY, read_graph
from edgekit.exporters.litert_layers import layer_weights
from edgekit.graph.describe import describe
from edgekit.graph.trace import trace
from edgekit.model import Event, Model, Source
from edgekit.patterns import density
from edgekit.quantizer.fold import folded_graph
from edgekit.stages.sparsity import project
from edgekit.target import load_target
from edgekit.tfmot import process
from edgekit.zoo import build

pytestmark = pytest.mark.tfmot
SIDE = 64
EVENT = Event(stage="test", summary="")


def network(name: str, width: float = 1.0) -> Model:
    return model_of(lambda: build(Source(name=name, num_classes=10, width=width)), SIDE)


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("mobilenetv3-small", 0.5),  # gates
        ("shufflenetv1-g3", 0.5),  # grouped convolutions, shuffles
        ("squeezenet1.1", 1.0),  # pooling that rounds up, no batch norm
        ("ghostnetv2", 0.5),  # slices and resizing
    ],
)
def test_the_twin_gives_what_the_network_gives(name: str, width: float) -> None:
    original = network(name, width)
    images = np.random.default_rng(0).standard_normal((3, 3, SIDE, SIDE)).astype(np.float32)
    description = describe(trace(original.module, (2, 3, SIDE, SIDE)))
    with process.work() as work:
        np.savez(work.folder / "weights.npz", **description.weights)  # type: ignore[arg-type]
        np.savez(work.folder / "images.npz", images=images)
        job = {"kind": "answer", "network": list(description.operators)}
        versions = process.call(work, job, timeout_s=300)["versions"]
        given = work.arrays("outputs")["outputs"]
    with torch.no_grad():
        expected = original.module(torch.from_numpy(images)).numpy()
    assert np.abs(given - expected).max() <= 5e-6 * max(1.0, np.abs(expected).max())
    assert versions["tensorflow-model-optimization"] == "0.8.1"


def test_sparse_tensors_hold_the_networks_own_weights(tmp_path: Path) -> None:
    """Bit for bit those of the folded graph, zeros left out, under the network's own names."""
    original = model_of(Shuffled)
    pruned = ["branches.0.0.0", "branches.1.2.0", "last.0"]
    project(original.module, dict.fromkeys(pruned, "1:4"))
    sparse = original.after(EVENT, encoding="sparse")
    content, notes = litert_file(sparse, load_target("android"))
    assert litert_file(sparse, load_target("android"))[0] == content  # the same model, the same bytes
    graph, path = read_graph(content), tmp_path / "model.tflite"
    path.write_bytes(content)
    assert sum(operator.kind == DENSIFY for operator in graph.operators) == len(pruned)
    assert notes[0].startswith(f"{len(pruned)} tensors are sparse; with all of them dense it would be ")
    stored, folded = layer_weights(path), dict(folded_graph(original).named_parameters())
    assert stored.keys() == {name.removesuffix(".weight") for name in folded if name.endswith(".weight")}
    for name, weight in stored.items():
        assert np.array_equal(weight, folded[f"{name}.weight"].detach().numpy()), name
    assert all(density(stored[name]) == 0.25 for name in pruned)
