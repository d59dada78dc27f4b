"""A .tflite in LiteRT's own kernels, with every tensor kept: for checks, never for speed.

It runs in a child process (this module, as a script): a file that brings LiteRT down costs a candidate, not the run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import InputError
from edgekit.exporters import child
from edgekit.exporters.litert_graph import read_graph
from edgekit.optional import load, need

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.exporters.litert_graph import Array

_MODEL, _INPUTS, _TENSORS = "model.tflite", "inputs.npz", "tensors-{}.npz"
_TIMEOUT_S = 300
_HINT = "rewrite that operator with others, or choose a target with another runtime"


def tensor_values(content: bytes, batches: Sequence[Array]) -> list[dict[int, Array]]:
    """For each input (N, C, H, W) in float32 every computed tensor by index, dequantized.

    Without a delegate, because a delegate keeps no intermediate tensors. Raises `InputError` where LiteRT
    refuses the file, crashes or hangs; `MissingError` where it is not installed.
    """
    need(["ai_edge_litert"], extra="litert")
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        folder = Path(name)
        (folder / _MODEL).write_bytes(content)
        np.savez(folder / _INPUTS, *batches)
        _call(folder)
        return [_read(folder / _TENSORS.format(place)) for place in range(len(batches))]


def verify_loads(content: bytes) -> None:
    """Raise `InputError` where LiteRT refuses the file, because it has no kernel for an operator."""
    tensor_values(content, [])


def _call(folder: Path) -> None:
    try:
        status, last = child.call(__spec__.name, folder, _TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"LiteRT gave no answer to the file within {_TIMEOUT_S} s", hint=_HINT) from error
    if status < 0:
        raise InputError(f"LiteRT crashed on the file (signal {-status})", hint=_HINT)
    if status:
        raise InputError(f"LiteRT refuses the file: {last}", hint=_HINT)


def _read(path: Path) -> dict[int, Array]:
    with np.load(path, allow_pickle=False) as tensors:
        return {int(index): tensors[index] for index in tensors.files}


def _run(folder: Path) -> None:
    """The child's part."""
    content = (folder / _MODEL).read_bytes()
    litert = load("ai_edge_litert.interpreter", extra="litert")
    interpreter = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    fed = interpreter.get_input_details()[0]
    with np.load(folder / _INPUTS, allow_pickle=False) as inputs:
        for number, name in enumerate(inputs.files):
            interpreter.set_tensor(fed["index"], _stored(inputs[name].transpose(0, 2, 3, 1), fed))
            interpreter.invoke()
            np.savez(folder / _TENSORS.format(number), **_values(content, interpreter))  # type: ignore[arg-type]


def _stored(values: Array, tensor: Any) -> Array:
    """Floats as the input wants them."""
    if tensor["dtype"] is not np.int8:
        return values
    scale, zero_point = tensor["quantization"]
    integers: Array = np.clip(np.round(values / scale) + zero_point, -128, 127).astype(np.int8)
    return integers


def _values(content: bytes, interpreter: Any) -> dict[str, Array]:
    values = {}
    for tensor in read_graph(content).activations:
        value = interpreter.get_tensor(tensor.index)
        if tensor.dtype == "INT8":
            value = (value.astype(np.float32) - tensor.zero_points[0]) * np.float32(tensor.scales[0])
        values[str(tensor.index)] = value
    return values


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
