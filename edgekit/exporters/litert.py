"""LiteRT: `.tflite` files, float32 or INT8, channel-last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.artifact import TensorSpec
from edgekit.exporters import Counts, Written
from edgekit.exporters.litert_counts import litert_counts
from edgekit.exporters.litert_graph import Graph, read_graph
from edgekit.exporters.litert_layers import layer_operators, layer_weights
from edgekit.files import write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.layer_parity import LayerParity
    from edgekit.exporters.litert_graph import Array
    from edgekit.model import Model
    from edgekit.operators import FileOperator
    from edgekit.target import Target

EXTRA, PACKAGES = "litert", ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")
MODEL_FILE = "model.tflite"
_LAYOUTS = {4: "NHWC", 2: "NC"}


def export(model: Model, target: Target, folder: Path) -> Written:
    """Write `model.tflite`; what it raises is what `litert_build.build` does."""
    from edgekit.exporters.litert_build import build

    content, notes = build(model, target)
    write_bytes(folder / MODEL_FILE, content)
    graph = read_graph(content)
    return Written(
        model_file=MODEL_FILE,
        inputs=_specs(graph, graph.inputs),
        outputs=_specs(graph, graph.outputs),
        files=(MODEL_FILE,),
        notes=tuple(notes),
    )


def count(path: Path) -> Counts:
    """The integer convolutions and linear layers of a .tflite file; raises `InputError` where it is none."""
    counted = litert_counts(path)
    return Counts(counted.integer_operators, counted.integer_operators + counted.float_operators)


def weights(path: Path) -> dict[str, Array]:
    """Layer → its stored weights (O, I / groups, H, W) or (O, I), int8 or float32."""
    return layer_weights(path)


def operators(path: Path) -> tuple[FileOperator, ...]:
    """All operators in their order; those with weights name the layer that these come from."""
    return layer_operators(path)


def tensor_parity(model: Model, path: Path, images: Array) -> list[LayerParity]:
    """Every tensor of the file that PyTorch has too, for images (n, C, H, W) float32."""
    from edgekit.exporters import litert_divergence

    return litert_divergence.tensor_parity(model, path, images)


def _specs(graph: Graph, indices: tuple[int, ...]) -> tuple[TensorSpec, ...]:
    tensors = [graph.tensors[index] for index in indices]
    return tuple(
        TensorSpec(
            name=tensor.name,
            shape=tensor.shape,
            dtype=tensor.dtype.lower(),
            layout=_LAYOUTS.get(len(tensor.shape), "N" + "?" * (len(tensor.shape) - 1)),
        )
        for tensor in tensors
    )
