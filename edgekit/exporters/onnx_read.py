"""What an ONNX file holds, read without running it and without torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import optional
from edgekit.exporters import Counts
from edgekit.operators import FileOperator
from edgekit.parity import Array

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class OnnxFile:
    """The graph of a file with the look-ups that rules need."""

    model: Any

    @cached_property
    def nodes(self) -> list[Any]:
        """All operators, in order."""
        return list(self.model.graph.node)

    @cached_property
    def weighted(self) -> list[Any]:
        """Convolutions and linear layers: operators whose second input comes from a constant."""
        return [
            node
            for node in self.nodes
            if node.op_type in WEIGHTED and self.constant_behind(node.input[1]) is not None
        ]

    @cached_property
    def producer(self) -> dict[str, Any]:
        """Value → the operator that computes it."""
        return {output: node for node in self.nodes for output in node.output}

    @cached_property
    def constants(self) -> dict[str, Array]:
        """Initializers and constants by name."""
        to_array = optional.load("onnx.numpy_helper", extra="onnx").to_array
        found = {tensor.name: to_array(tensor) for tensor in self.model.graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                found[node.output[0]] = to_array(node.attribute[0].t)
        return found

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        return next(
            int(entry.version) for entry in self.model.opset_import if entry.domain in ("", "ai.onnx")
        )

    def constant_behind(self, value: str) -> str | None:
        """The name of the constant that a value is, seen through Q/DQ, transposes and reshapes."""
        while value not in self.constants:
            node = self.producer.get(value)
            if node is None or node.op_type not in (
                "DequantizeLinear",
                "QuantizeLinear",
                "Transpose",
                "Reshape",
            ):
                return None
            value = node.input[0]
        return value

    def outputs_first(self, node: Any, weight: Array) -> Array:
        """A weight as PyTorch has it: that of a product (in, out) is turned, unless the file turns it itself."""
        if node.op_type not in ("Gemm", "MatMul") or weight.ndim != 2:
            return weight
        turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        before = self.producer.get(node.input[1])
        while before is not None:
            turned ^= before.op_type == "Transpose"
            before = self.producer.get(before.input[0])
        return weight if turned else weight.T

    def dequantizer(self, value: str) -> Any | None:
        """The DequantizeLinear that gives a value (seen through a transpose or reshape), if one does."""
        node = self.producer.get(value)
        while node is not None and node.op_type in ("Transpose", "Reshape"):
            node = self.producer.get(node.input[0])
        return node if node is not None and node.op_type == "DequantizeLinear" else None


def read(path: Path) -> OnnxFile:
    """Open a file; raises `MissingError` without onnx."""
    return OnnxFile(optional.load("onnx", extra="onnx").load(str(path)))


def count(path: Path) -> Counts:
    """Weighted operators whose activation and weights both come from 8-bit integers, of all weighted ones."""
    file = read(path)
    integer = sum(all(_is_integer(file, name) for name in node.input[:2]) for node in file.weighted)
    return Counts(integer=integer, weighted=len(file.weighted))


def weights(path: Path) -> dict[str, Array]:
    """Layer → its stored weights (out, in, …), int8 or float32, by the names that the network gave them."""
    file = read(path)
    found = {
        name.removesuffix(".weight"): file.outputs_first(node, file.constants[name])
        for node in file.weighted
        if (name := file.constant_behind(node.input[1])) is not None
    }
    return dict(sorted(found.items()))


def operators(path: Path) -> tuple[FileOperator, ...]:
    """All operators in their order; those with weights name the layer that these come from."""
    file = read(path)
    weights = {node.name: file.constant_behind(node.input[1]) or "" for node in file.weighted}
    return tuple(
        FileOperator(
            name=node.name,
            kind=node.op_type,
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            layer=weights.get(node.name, "").removesuffix(".weight"),
        )
        for node in file.nodes
    )


def _is_integer(file: OnnxFile, value: str) -> bool:
    node = file.dequantizer(value)
    if node is None:
        return False
    zero = file.constants.get(node.input[2]) if len(node.input) > 2 else None
    return zero is not None and zero.dtype in (np.int8, np.uint8)
