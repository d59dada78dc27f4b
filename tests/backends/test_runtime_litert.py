"""LiteRT on files written tensor by tensor: layouts, types, integer operators, what the delegate took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgekit.artifact import Artifact, ArtifactFolder, TensorSpec
from edgekit.bench import Candidate, Protocol, measure, predict
from edgekit.devices.local import Local
from edgekit.model import Preprocessing
from edgekit.parity import sqnr_db

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.devices import Array
    from edgekit.measurement import Executed

SHORT = Protocol(blocks=1, warmup_seconds=0.02, min_seconds=0.05, min_samples=20)
DEVICE = Local()
SIDE, INPUTS, OUTPUTS = 32, 3, 5
IN_SCALE, OUT_SCALE, OUT_ZERO = 0.03, 0.04, 7


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file; a constant where it has a value."""

    shape: tuple[int, ...]
    dtype: type[np.generic]
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    value: Array | None = None


KINDS: dict[type[np.generic], int] = {
    np.float32: schema.TensorType.FLOAT32,
    np.int8: schema.TensorType.INT8,
    np.int32: schema.TensorType.INT32,
}


def write(
    path: Path, tensors: list[Tensor], operators: list[tuple[int, list[int], int]], output: int
) -> None:
    """A model with one graph: tensor 0 in; operators are (builtin code, inputs, output)."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, graph.tensors = 3, [schema.BufferT()], []
    for place, tensor in enumerate(tensors):
        record = schema.TensorT()
        record.name, record.shape, record.type = f"t{place}", list(tensor.shape), KINDS[tensor.dtype]
        record.buffer = 0
        if tensor.value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(tensor.value.astype(tensor.dtype).tobytes(), np.uint8)
            record.buffer = len(model.buffers)
            model.buffers.append(buffer)
        if tensor.scales:
            record.quantization = schema.QuantizationParametersT()
            record.quantization.scale = list(tensor.scales)
            record.quantization.zeroPoint = list(tensor.zero_points)
        graph.tensors.append(record)
    codes = sorted({code for code, _, _ in operators})
    model.operatorCodes = [operator_code(code) for code in codes]
    graph.operators = [operator(codes.index(code), code, ins, out) for code, ins, out in operators]
    graph.inputs, graph.outputs = [0], [output]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def operator_code(code: int) -> schema.OperatorCodeT:
    record = schema.OperatorCodeT()
    version = 3 if code == schema.BuiltinOperator.CONV_2D else 1  # 3: scales per channel
    record.builtinCode, record.deprecatedBuiltinCode, record.version = code, min(code, 127), version
    return record


def operator(place: int, code: int, inputs: list[int], output: int) -> schema.OperatorT:
    record = schema.OperatorT()
    record.opcodeIndex, record.inputs, record.outputs = place, inputs, [output]
    if code == schema.BuiltinOperator.CONV_2D:
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.SAME, 1, 1
        options.dilationHFactor = options.dilationWFactor = 1
        record.builtinOptions, record.builtinOptionsType = options, schema.BuiltinOptions.Conv2DOptions
    return record


def kernel() -> tuple[Array, Array]:
    """A 1×1 convolution: weight (O, 1, 1, I) as LiteRT stores it, and bias."""
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.5, (OUTPUTS, 1, 1, INPUTS)).astype(np.float32), rng.normal(0, 0.1, OUTPUTS).astype(
        np.float32
    )


def reference(inputs: Array) -> Array:
    weight, bias = kernel()
    return np.asarray(np.einsum("nchw,oc->nohw", inputs, weight[:, 0, 0]) + bias[:, None, None])


def image(channels: int, dtype: type[np.generic] = np.float32, *grid: float) -> Tensor:
    scales, zero_points = ((grid[0],), (int(grid[1]),)) if grid else ((), ())
    return Tensor((1, SIDE, SIDE, channels), dtype, scales, zero_points)


def float_conv(path: Path) -> None:
    weight, bias = kernel()
    tensors = [
        image(INPUTS),
        Tensor(weight.shape, np.float32, value=weight),
        Tensor(bias.shape, np.float32, value=bias),
        image(OUTPUTS),
    ]
    write(path, tensors, [(schema.BuiltinOperator.CONV_2D, [0, 1, 2], 3)], 3)


def int8_conv(path: Path) -> None:
    weight, bias = kernel()
    scale = np.abs(weight).max(axis=(1, 2, 3)) / 127
    scales, zeros = tuple(scale.tolist()), (0,) * OUTPUTS
    bias_scales = tuple((scale * IN_SCALE).tolist())
    tensors = [
        image(INPUTS, np.int8, IN_SCALE, 0),
        Tensor(weight.shape, np.int8, scales, zeros, np.round(weight / scale[:, None, None, None])),
        Tensor(bias.shape, np.int32, bias_scales, zeros, np.round(bias / bias_scales)),
        image(OUTPUTS, np.int8, OUT_SCALE, OUT_ZERO),
    ]
    write(path, tensors, [(schema.BuiltinOperator.CONV_2D, [0, 1, 2], 3)], 3)


def interrupted(path: Path) -> None:
    """Conv, SIGN (which the delegate does not take), conv on the first three channels' worth of weights."""
    rng = np.random.default_rng(0)
    square = rng.normal(0, 0.5, (INPUTS, 1, 1, INPUTS)).astype(np.float32)
    constants = [
        Tensor(square.shape, np.float32, value=square),
        Tensor((INPUTS,), np.float32, value=np.zeros(INPUTS)),
    ]
    tensors = [image(INPUTS), *constants, image(INPUTS), image(INPUTS), image(INPUTS)]
    conv = schema.BuiltinOperator.CONV_2D
    write(
        path, tensors, [(conv, [0, 1, 2], 3), (schema.BuiltinOperator.SIGN, [3], 4), (conv, [4, 1, 2], 5)], 5
    )


def placed(folder: Path) -> ArtifactFolder:
    return Artifact(
        model="tiny",
        task="segmentation",
        format="tflite",
        precision="fp32",
        model_file="model.tflite",
        sha256={"model.tflite": ""},
        inputs=(TensorSpec(name="x", shape=(1, SIDE, SIDE, INPUTS), dtype="float32", layout="NHWC"),),
        outputs=(TensorSpec(name="y", shape=(1, SIDE, SIDE, OUTPUTS), dtype="float32", layout="NHWC"),),
        preprocessing=Preprocessing(height=SIDE, width=SIDE, mean=(0, 0, 0), std=(1, 1, 1)),
        labels=(),
    ).at(folder)


def inputs(count: int) -> Array:
    return np.random.default_rng(1).standard_normal((count, INPUTS, SIDE, SIDE)).astype(np.float32)


def executed(artifact: ArtifactFolder) -> Executed:
    return measure(Candidate("tiny", artifact, "litert"), DEVICE, threads=1, protocol=SHORT).executed


def test_float_goes_in_and_comes_out_channels_first(tmp_path: Path) -> None:
    float_conv(tmp_path / "model.tflite")
    outputs = predict(placed(tmp_path), "litert", inputs(3), DEVICE)
    assert outputs.shape == (3, OUTPUTS, SIDE, SIDE)
    np.testing.assert_allclose(outputs, reference(inputs(3)), rtol=1e-5, atol=1e-5)
    ran = executed(placed(tmp_path))
    assert (ran.integer_operators, ran.float_operators) == (0, 1)
    assert ran.details["delegated"] == "1 of 1"
    assert ran.details["partitions"] == "1"


def test_int8_takes_and_gives_floats_and_counts_as_integer(tmp_path: Path) -> None:
    int8_conv(tmp_path / "model.tflite")
    outputs = predict(placed(tmp_path), "litert", inputs(3), DEVICE)
    assert outputs.dtype == np.float32
    assert sqnr_db(reference(inputs(3)), outputs) > 30
    steps = outputs / OUT_SCALE
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    ran = executed(placed(tmp_path))
    assert (ran.integer_operators, ran.float_operators) == (1, 0)
    assert ran.details["delegate"] == "XNNPACK"


def test_inputs_beyond_the_grid_saturate(tmp_path: Path) -> None:
    int8_conv(tmp_path / "model.tflite")
    edge = predict(
        placed(tmp_path), "litert", np.full((1, INPUTS, SIDE, SIDE), 127 * IN_SCALE, np.float32), DEVICE
    )
    beyond = predict(placed(tmp_path), "litert", np.full((1, INPUTS, SIDE, SIDE), 1e6, np.float32), DEVICE)
    np.testing.assert_array_equal(beyond, edge)


def test_what_the_delegate_left_is_named(tmp_path: Path) -> None:
    interrupted(tmp_path / "model.tflite")
    ran = executed(placed(tmp_path))
    assert ran.operators == {"CONV_2D": 2, "SIGN": 1}
    assert ran.details["delegated"] == "2 of 3"
    assert ran.details["partitions"] == "2"
    assert ran.details["not_delegated"] == "SIGN ×1"


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_recorded(tmp_path: Path, threads: int) -> None:
    float_conv(tmp_path / "model.tflite")
    profile = measure(Candidate("tiny", placed(tmp_path), "litert"), DEVICE, threads=threads, protocol=SHORT)
    assert (profile.threads, profile.executed.details["threads"]) == (threads, str(threads))
