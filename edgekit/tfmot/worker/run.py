"""The worker's entry: a folder with `job.json` and arrays in, `result.json` and what the job makes beside it."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .refused import REFUSED, Refused

_METHODS = {"prune": "pruning", "cluster": "clustering", "quantize": "quantizing"}
"""The function that trains → its module, of which only one is loaded."""
PACKAGES = ("tensorflow", "tf_keras", "keras", "tensorflow-model-optimization")


def main(folder: Path) -> None:
    """Do the job of a folder; an error is this process's last line on stderr, and its status is not 0."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    try:
        result = _JOBS[job["kind"]](folder, job)
    except Refused as error:
        sys.exit(f"{REFUSED} {error}")
    result["versions"] = {name: importlib.metadata.version(name) for name in PACKAGES}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _train(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    from .keras import seed
    from .network import build
    from .weights import load, save

    seed(job["seed"])
    description = job["network"]
    model = build(description)
    load(model, description, _arrays(folder / "weights.npz"))
    kind = job["method"]["kind"]
    method = getattr(importlib.import_module(f".{_METHODS[kind]}", __package__), kind)
    result: dict[str, Any]
    stripped, result = method(model, description, folder, job)
    if stripped is not None:
        np.savez(folder / "trained.npz", **save(stripped, description))  # type: ignore[arg-type]
    return result


def _convert(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    from .conversion import convert
    from .network import build
    from .weights import load

    model = build(job["network"], job["batch"])
    load(model, job["network"], _arrays(folder / "weights.npz"))
    return convert(model, folder)


def _answer(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """What the network gives for pictures (n, C, H, W), to hold the bridge to PyTorch's."""
    from .network import build
    from .weights import load

    model = build(job["network"])
    load(model, job["network"], _arrays(folder / "weights.npz"))
    images = _arrays(folder / "images.npz")["images"]
    outputs = model(images.transpose(0, 2, 3, 1), training=False).numpy()
    outputs = outputs.transpose(0, 3, 1, 2) if outputs.ndim == 4 else outputs
    np.savez(folder / "outputs.npz", outputs=outputs)
    return {}


def _read(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """A Keras network as a description, with what it gives for random pictures."""
    from .opening import known, opened
    from .reading import Reader

    model = opened(job)
    reader = Reader()
    reader.read(model)
    np.savez(folder / "read.npz", **reader.weights)  # type: ignore[arg-type]
    inputs, outputs = known(model)
    np.savez(folder / "known.npz", inputs=inputs, outputs=outputs)
    height, width, channels = model.inputs[0].shape[1:]
    return {"network": reader.operators, "final": reader.final, "input_shape": [channels, height, width]}


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


_JOBS: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {
    "train": _train,
    "convert": _convert,
    "answer": _answer,
    "read": _read,
}
