"""Artifact folders of a `.tflite` file that takes long enough to be timed in microseconds."""

from __future__ import annotations

import base64
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from edgekit import files
from edgekit.artifact import Artifact, TensorSpec
from edgekit.model import Preprocessing
from edgekit.runtimes import litert_cpu


def relu(side: int) -> bytes:
    """The runtime's tiny model, relu(x), for x of (1, side, side, 16)."""
    model = schema.ModelT.InitFromPackedBuf(base64.b64decode(litert_cpu.TINY_MODEL))
    for tensor in model.subgraphs[0].tensors:
        tensor.shape = [1, side, side, 16]
    builder = Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def artifact(folder: Path, *, side: int = 128, name: str = "model.tflite") -> Path:
    """A folder that holds it, without known answers."""
    folder.mkdir(parents=True)
    (folder / name).write_bytes(relu(side))
    tensor = {"shape": (1, side, side, 16), "dtype": "float32", "layout": "NHWC"}
    manifest = Artifact(
        model="relu",
        task="segmentation",
        format="tflite",
        precision="fp32",
        model_file=name,
        sha256={name: files.sha256(folder / name)},
        inputs=(TensorSpec(name="x", **tensor),),
        outputs=(TensorSpec(name="y", **tensor),),
        preprocessing=Preprocessing(height=side, width=side, mean=(0,) * 3, std=(1,) * 3),
        labels=("a", "b"),
    )
    manifest.at(folder).write()
    return folder
