"""What a model file holds, in ATen's words, whatever its format: what readers give and costs are counted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Value:
    """A tensor of the file: pictures are (N, C, H, W), weights as PyTorch has them."""

    shape: tuple[int, ...]
    width: int
    """Bytes of one element."""


@dataclass(frozen=True)
class Operation:
    """One operator. `quantize` and `dequantize` are kept: a runtime computes them in what stands before and after."""

    operator: str
    """ATen's plain name, or the file's own where ATen has none."""
    layer: str
    inputs: tuple[str, ...]
    """Activations first, then constants that count as parameters; of a matrix product in its own order."""
    outputs: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """As ATen names them, but for the tensors."""
    weight: str | None = None


@dataclass(frozen=True)
class FileGraph:
    """A whole file; the operators stand in the order in which they run."""

    values: Mapping[str, Value]
    """Everything that operators read and write."""
    parameters: frozenset[str]
    """The constants among them that are weights, biases, slopes and the like: not shapes, bounds or scales."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operations: tuple[Operation, ...]
