"""A .tflite in LiteRT's own kernels, with every tensor kept: for checks, never for speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import InputError
from edgekit.exporters.litert_graph import read_graph
from edgekit.optional import load

if TYPE_CHECKING:
    from edgekit.exporters.litert_graph import Array


def tensor_values(content: bytes, batch: Array) -> dict[int, Array]:
    """Every computed tensor by index, dequantized, for one input (N, C, H, W) in float32.

    Without a delegate, because a delegate keeps no intermediate tensors. Raises `InputError` where LiteRT
    refuses the file.
    """
    interpreter = _opened(content)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch.transpose(0, 2, 3, 1))
    interpreter.invoke()
    values = {}
    for tensor in read_graph(content).activations:
        value = interpreter.get_tensor(tensor.index)
        if tensor.dtype == "INT8":
            value = (value.astype(np.float32) - tensor.zero_points[0]) * np.float32(tensor.scales[0])
        values[tensor.index] = value
    return values


def verify_loads(content: bytes) -> None:
    """Raise `InputError` where LiteRT refuses the file, because it has no kernel for an operator."""
    _opened(content)


def _opened(content: bytes) -> Any:
    litert = load("ai_edge_litert.interpreter", extra="litert")
    try:
        interpreter = litert.Interpreter(
            model_content=content,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"LiteRT refuses the file: {str(error).strip()}",
            hint="rewrite that operator with others, or choose a target with another runtime",
        ) from error
    return interpreter
