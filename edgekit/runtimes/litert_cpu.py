"""LiteRT (TensorFlow Lite) on the CPU, with its XNNPACK delegate."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from typing import Any

import numpy as np

NAME = "litert"
DISTRIBUTION = "ai-edge-litert"
EXTRA = "litert"
FORMATS = ("tflite",)
# The layouts of the file's 4-D tensors; callers always see (N, C, H, W).
OPTIONS = {"layout": "NHWC", "output_layout": "NHWC"}
TINY_MODEL = (
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAcAAAA6AAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAAAAAMABQAEAAMAAgABAAM"
    "AAAAEAAAADwAAABAAAAARAAAAAEAAAAQAAAAAAAKAAwAAAAIAAQACgAAAAgAAAAMAAAAAQAAAAEAAAABAAAAAAAAAAEAAAABAAAAAQAAAAAA"
    "AAACAAAAPAAAAAQAAADY////CAAAAAwAAAABAAAAeQAAAAQAAAABAAAAAgAAAAIAAAABAAAADAAMAAgAAAAAAAQADAAAAAgAAAAMAAAAAQAA"
    "AHgAAAAEAAAAAQAAAAIAAAACAAAAAQAAAAEAAAAQAAAADAAMAAsAAAAAAAQADAAAABMAAAAAAAAT"
)

Array = np.ndarray[Any, Any]
WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D"}
DELEGATE = "DELEGATE"


def version() -> str:
    """The installed version."""
    return importlib.metadata.version(DISTRIBUTION)


def precisions() -> list[str]:
    """Float files run as they are."""
    return ["f32"]


class Session:
    """One opened model: float32 in (1, C, H, W) and out, whatever the file's own types and layout."""

    def __init__(self, path: str, threads: int, options: dict[str, str]) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._settings = {"threads": str(threads), **OPTIONS, **options}
        self._interpreter = Interpreter(model_path=path, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def feed(self, batch: Array) -> None:
        """Set the input, in the file's layout and type."""
        if self._settings["layout"] == "NHWC":
            batch = batch.transpose(0, 2, 3, 1)
        self._interpreter.set_tensor(self._input["index"], _to_file(batch, self._input))

    def invoke(self) -> None:
        """One inference on the input that was fed."""
        self._interpreter.invoke()

    def result(self) -> Array:
        """The first output, as float32, (N, C, H, W) where it has four dimensions."""
        values = _from_file(self._interpreter.get_tensor(self._output["index"]), self._output)
        if values.ndim == 4 and self._settings["output_layout"] == "NHWC":
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values)

    def run(self, batch: Array) -> Array:
        """Feed, invoke, result."""
        self.feed(batch)
        self.invoke()
        return self.result()

    def executed(self) -> dict[str, object]:
        """The file's operators, the types that they compute on, and which of them the delegate took."""
        nodes = self._interpreter._get_ops_details()
        partitions = [node for node in nodes if node["op_name"] == DELEGATE]
        operators = [node for node in nodes if node["op_name"] != DELEGATE]
        taken = {index for partition in partitions for index in _members(partition, operators)}
        left = Counter(node["op_name"] for node in operators if node["index"] not in taken)
        weighted = [node for node in operators if node["op_name"] in WEIGHTED]
        integer = sum(_is_integer(node) for node in weighted)
        return {
            "operators": Counter(node["op_name"] for node in operators),
            "integer_operators": integer,
            "float_operators": len(weighted) - integer,
            "float_precision": "f32",
            "details": {
                **self._settings,
                "delegate": "XNNPACK" if partitions else "none",
                "delegated": f"{len(taken)} of {len(operators)}",
                "partitions": str(len(partitions)),
                "not_delegated": ", ".join(f"{name} ×{count}" for name, count in sorted(left.items())),
            },
        }


def _to_file(values: Array, tensor: dict[str, Any]) -> Array:
    if tensor["dtype"] is not np.float32:
        scale, zero_point = tensor["quantization"]
        limits = np.iinfo(tensor["dtype"])
        values = np.clip(np.round(values / scale) + zero_point, limits.min, limits.max)
    return np.ascontiguousarray(values, dtype=tensor["dtype"])


def _from_file(values: Array, tensor: dict[str, Any]) -> Array:
    if tensor["dtype"] is not np.float32:
        scale, zero_point = tensor["quantization"]
        values = (values.astype(np.float32) - zero_point) * scale
    return values.astype(np.float32)


def _is_integer(node: dict[str, Any]) -> bool:
    """Activations and weights both 8-bit (a float activation with 8-bit weights computes in float)."""
    first = 1 if node["op_name"] == "TRANSPOSE_CONV" else 0  # its operand 0 is the output's shape
    return all(kind in {np.int8, np.uint8} for kind in node["operand_types"][first : first + 2])


def _members(partition: dict[str, Any], operators: list[dict[str, Any]]) -> set[int]:
    """Operators that a delegate's node replaced: all between its outputs and its inputs.

    The interpreter keeps the replaced operators in its list, and the node names every tensor that comes from
    outside, constants included.
    """
    maker = {tensor: node for node in operators for tensor in node["outputs"]}
    outside = set(partition["inputs"])
    wanted = list(partition["outputs"])
    found: set[int] = set()
    while wanted:
        node = maker.get(wanted.pop())
        if node is not None and node["index"] not in found:
            found.add(node["index"])
            wanted += [tensor for tensor in node["inputs"] if tensor not in outside]
    return found
