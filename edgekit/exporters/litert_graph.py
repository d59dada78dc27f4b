"""What a .tflite file holds, read from its flatbuffer alone: no interpreter, no torch."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from edgekit.errors import InputError
from edgekit.exporters.litert_sparse import dense_of
from edgekit.optional import load

Array = np.ndarray[Any, Any]

_DTYPES = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
}
WIDTHS = {"INT4": 1} | {name: np.dtype(dtype).itemsize for name, dtype in _DTYPES.items()}
"""Bytes of one value."""
_IDENTIFIER = b"TFL3"
DENSIFY = "DENSIFY"
"""The operator that gives a sparse constant to kernels that want a dense one."""
_DAMAGED = (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError)
"""What following a damaged file's offsets, indices and codes raises."""
# Weighted operators: where their activation input and their weights stand among the inputs.
WEIGHTED = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "FULLY_CONNECTED": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
    "BATCH_MATMUL": (0, 1),
}


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file; `data` is set for constants, `scales` and `zero_points` for quantized ones."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    data: Array | None
    signature: tuple[int, ...] | None = None
    """The shape with -1 for sizes that are dynamic; None where the file tells none."""
    axis: int = 0
    """Along which `scales` lie, where there are several."""

    @property
    def is_activation(self) -> bool:
        """Computed or fed, and a number (not a shape or an index)."""
        return self.data is None and self.dtype in {"FLOAT32", "FLOAT16", "INT8"}


@dataclass(frozen=True)
class Operator:
    """One operator: its builtin name, tensor indices (absent optional inputs left out), and what is fused."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str
    options: Mapping[str, int] = field(default_factory=dict)
    """Strides, axes and the like, by the schema's names."""


@dataclass(frozen=True)
class Graph:
    """The first subgraph of a file (networks that edgekit exports have one)."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def activations(self) -> tuple[Tensor, ...]:
        """The tensors that operators compute or that are fed, in the order of their computation."""
        order = [*self.inputs, *(index for operator in self.operators for index in operator.outputs)]
        return tuple(self.tensors[index] for index in order if self.tensors[index].is_activation)

    def sources(self, operator: Operator) -> list[Tensor]:
        """The operator's inputs that are activations."""
        return [self.tensors[index] for index in operator.inputs if self.tensors[index].is_activation]

    def targets(self, operator: Operator) -> list[Tensor]:
        """The operator's outputs that are activations."""
        return [self.tensors[index] for index in operator.outputs if self.tensors[index].is_activation]


def unpack(content: bytes, *, name: str = "the model") -> Any:
    """The flatbuffer as the schema's mutable objects; raises `InputError` where it is not a .tflite."""
    schema = load("ai_edge_litert.schema_py_generated", extra="litert")
    if content[4:8] != _IDENTIFIER:
        raise InputError(f"{name} is not a .tflite file: it does not hold the identifier TFL3")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        for buffer in model.buffers:
            if buffer.offset > 1:  # large constants may lie behind the flatbuffer
                buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
    except _DAMAGED as error:
        raise InputError(f"{name} is not a whole .tflite file: {error}") from error
    return model


def pack(model: Any) -> bytes:
    """The bytes of a file; the same objects always give the same bytes."""
    flatbuffers = load("flatbuffers", extra="litert")

    class Builder(flatbuffers.Builder):  # type: ignore[misc,name-defined]
        """Constants lie on 16-byte boundaries: the schema wants it, Python's generated code forgets."""

        def CreateNumpyVector(self, x: Array) -> int:  # noqa: N802
            self.StartVector(1, x.nbytes, 16)
            self.head -= x.nbytes
            self.Bytes[self.head : self.head + x.nbytes] = x.tobytes()
            self.vectorNumElems = x.size
            return int(self.EndVector())

    builder = Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def layouts(weight: Array) -> list[Array]:
    """Weights with output channels first as LiteRT may store them.

    (O, I) as it is; (O, I, H, W) as (O, H, W, I), or as (1, H, W, O) where it is depthwise.
    """
    if weight.ndim != 4:
        return [weight]
    return [weight.transpose(0, 2, 3, 1), *([weight.transpose(1, 2, 3, 0)] if weight.shape[1] == 1 else [])]


def read_graph(content: bytes, *, name: str = "the model") -> Graph:
    """Read a file's graph; raises `InputError` where the bytes are not a whole .tflite."""
    model = unpack(content, name=name)
    try:
        graph = model.subgraphs[0]
        tensors = [_tensor(model, index, tensor) for index, tensor in enumerate(graph.tensors)]
        operators = [_operator(model, operator) for operator in graph.operators]
        _settle_densified(tensors, operators)
        inputs, outputs = _indices(graph.inputs), _indices(graph.outputs)
        ends = (inputs, outputs, *(end for each in operators for end in (each.inputs, each.outputs)))
        if (last := max(map(max, filter(None, ends)))) >= len(tensors):
            raise InputError(
                f"{name} is not a whole .tflite file: it speaks of a tensor {last} that is not there"
            )
    except _DAMAGED as error:
        raise InputError(f"{name} is not a whole .tflite file: {error}") from error
    return Graph(tuple(tensors), tuple(operators), inputs, outputs)


def _settle_densified(tensors: list[Tensor], operators: list[Operator]) -> None:
    """What DENSIFY makes of a sparse constant is a constant too."""
    for operator in operators:
        if operator.kind == DENSIFY:
            (made,) = operator.outputs
            tensors[made] = replace(tensors[made], data=tensors[operator.inputs[0]].data)


@cache
def _names(table: str) -> dict[int, str]:
    schema = load("ai_edge_litert.schema_py_generated", extra="litert")
    return {value: name for name, value in vars(getattr(schema, table)).items() if isinstance(value, int)}


def _indices(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values if value >= 0)


def _tensor(model: Any, index: int, tensor: Any) -> Tensor:
    dtype = _names("TensorType")[tensor.type]
    shape = tuple(int(size) for size in tensor.shape) if tensor.shape is not None else ()
    signed = tensor.shapeSignature
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None
    return Tensor(
        index=index,
        name=tensor.name.decode(),
        shape=shape,
        dtype=dtype,
        scales=tuple(float(scale) for scale in quantization.scale) if quantized else (),
        zero_points=tuple(int(zero) for zero in quantization.zeroPoint) if quantized else (),
        data=_data(model.buffers[tensor.buffer].data, dtype, shape, tensor.sparsity),
        signature=tuple(int(size) for size in signed) if signed is not None else None,
        axis=int(quantization.quantizedDimension) if quantized else 0,
    )


def _data(raw: Any, dtype: str, shape: tuple[int, ...], sparsity: Any) -> Array | None:
    if raw is None or len(raw) == 0 or dtype not in _DTYPES:
        return None
    if sparsity is not None:
        return dense_of(sparsity, shape, np.frombuffer(bytes(raw), dtype=_DTYPES[dtype]))
    return np.frombuffer(bytes(raw), dtype=_DTYPES[dtype]).reshape(shape)


def _operator(model: Any, operator: Any) -> Operator:
    code = model.operatorCodes[operator.opcodeIndex]
    kind = _names("BuiltinOperator")[max(code.builtinCode, code.deprecatedBuiltinCode)]
    fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    activation = _names("ActivationFunctionType")[fused]
    told = vars(operator.builtinOptions) if operator.builtinOptions is not None else {}
    options = {name: int(value) for name, value in told.items() if isinstance(value, int)}
    return Operator(kind, _indices(operator.inputs), _indices(operator.outputs), activation, options)
