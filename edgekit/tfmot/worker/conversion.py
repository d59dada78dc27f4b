"""A Keras network as a `.tflite` file: with sparse tensors where they are smaller, and dense beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .keras import tf

SPARSE, DENSE = "sparse.tflite", "dense.tflite"


def convert(model: Any, folder: Path) -> dict[str, Any]:
    """Write both files of a network of a fixed batch."""
    for name, optimizations in ((SPARSE, [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]), (DENSE, [])):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = optimizations
        (folder / name).write_bytes(converter.convert())
    return {}
