"""A float ATen graph through TensorFlow's own converter, which can leave zeros out of a file."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.litert_graph import DENSIFY, read_graph
from edgekit.exporters.litert_run import verify_loads
from edgekit.graph.describe import describe
from edgekit.tfmot import process

if TYPE_CHECKING:
    from torch import fx

TIMEOUT_S = 600.0


def convert_sparse(graph: fx.GraphModule, input_shape: tuple[int, int, int, int]) -> tuple[bytes, list[str]]:
    """The float .tflite of a graph that takes (N, C, H, W), and a note of both sizes; the file takes (N, H, W, C).

    Raises `MissingError` without the toolkit, `InputError` for an operator that Keras lacks and where LiteRT refuses
    the file.
    """
    description = describe(graph)
    job = {"kind": "convert", "network": list(description.operators), "batch": input_shape[0]}
    with process.work() as work:
        np.savez(work.folder / "weights.npz", **description.weights)  # type: ignore[arg-type]
        process.call(work, job, timeout_s=TIMEOUT_S)
        sparse, dense = ((work.folder / f"{name}.tflite").read_bytes() for name in ("sparse", "dense"))
    verify_loads(sparse)
    count = sum(operator.kind == DENSIFY for operator in read_graph(sparse).operators)
    packed = len(gzip.compress(dense, compresslevel=9, mtime=0))
    return sparse, [
        f"{count} tensors are sparse; with all of them dense it would be {len(dense):,} bytes, gzipped {packed:,}"
    ]
