"""Artifact folders of a `.tflite` file that takes long enough to be timed in microseconds."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np

from edgekit import files
from edgekit.artifact import Artifact, TensorSpec
from edgekit.exporters.litert_graph import pack, unpack
from edgekit.model import Preprocessing
from edgekit.runtimes import litert_cpu


def relu(side: int, description: str = "") -> bytes:
    """The runtime's tiny model, relu(x), for x of (1, side, side, 16); another description makes another file."""
    model = unpack(base64.b64decode(litert_cpu.TINY_MODEL))
    for tensor in model.subgraphs[0].tensors:
        tensor.shape = [1, side, side, 16]
    model.description = description.encode()
    return pack(model)


def artifact(folder: Path, *, side: int = 128) -> Path:
    """A folder that holds it, with known answers; one of another name holds another file."""
    folder.mkdir(parents=True)
    name = "model.tflite"
    (folder / name).write_bytes(relu(side, folder.name))
    inputs = np.random.default_rng(0).standard_normal((2, 16, side, side)).astype(np.float32)
    np.savez(folder / "parity.npz", inputs=inputs, outputs=np.maximum(inputs, 0))
    tensor = TensorSpec(name="x", shape=(1, side, side, 16), dtype="float32", layout="NHWC")
    manifest = Artifact(
        model="relu",
        task="segmentation",
        format="tflite",
        precision="fp32",
        model_file=name,
        sha256={name: files.sha256(folder / name)},
        inputs=(tensor,),
        outputs=(tensor.model_copy(update={"name": "y"}),),
        preprocessing=Preprocessing(height=side, width=side, mean=(0,) * 3, std=(1,) * 3),
        labels=("a", "b"),
    )
    manifest.at(folder).write()
    return folder
