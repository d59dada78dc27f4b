"""A small network by hand: its layers, the operators of its file, and what each runtime says of an inference."""

from __future__ import annotations

from edgekit.bench.layer_join import Layer
from edgekit.operators import FileOperator, OperatorTime

LAYERS = [
    Layer("stem.0", "conv 3x3", macs=600, memory_access_bytes=60),
    Layer("block.conv", "conv 1x1", macs=200, memory_access_bytes=20),
    Layer("block", "add", macs=0, memory_access_bytes=5),
    Layer("mean", "mean", macs=0, memory_access_bytes=4),
    Layer("head", "linear", macs=200, memory_access_bytes=11),
]
"""stem.0 with a clip; block = x + block.conv(x); a mean; head."""


def onnx_file() -> list[FileOperator]:
    return [
        FileOperator("stem.0", "Conv", ("input", "stem.0.weight"), ("conv2d",), layer="stem.0"),
        FileOperator("n4", "Clip", ("conv2d",), ("hardtanh",)),
        FileOperator(
            "block.conv", "Conv", ("hardtanh", "block.conv.weight"), ("conv2d_1",), layer="block.conv"
        ),
        FileOperator("node_add", "Add", ("hardtanh", "conv2d_1"), ("add",)),
        FileOperator("node_mean", "ReduceMean", ("add", "axes"), ("mean",)),
        FileOperator("head", "Gemm", ("mean", "head.weight"), ("output",), layer="head"),
    ]


def litert_file() -> list[FileOperator]:
    return [
        FileOperator("x.pad", "PAD", ("x", "pad"), ("x.pad",)),
        FileOperator("hardtanh", "CONV_2D", ("x.pad", "stem.0.weight"), ("hardtanh",), layer="stem.0"),
        FileOperator(
            "conv2d_1", "CONV_2D", ("hardtanh", "block.conv.weight"), ("conv2d_1",), layer="block.conv"
        ),
        FileOperator("add", "ADD", ("hardtanh", "conv2d_1"), ("add",)),
        FileOperator("mean", "MEAN", ("add", "axes"), ("mean",)),
        FileOperator("linear", "FULLY_CONNECTED", ("mean", "head.weight"), ("linear",), layer="head"),
    ]


def operator(name: str, kind: str, time_ns: float, *parts: str) -> OperatorTime:
    return OperatorTime(name, kind, parts, time_ns)


def by_onnxruntime() -> list[OperatorTime]:
    """A convolution goes by its activation's value, another one took the sum in, a kernel was added."""
    kernels = {
        "hardtanh_nchwc": ("Conv", 50),
        "conv2d_1_nchwc": ("Conv", 20),
        "ReorderOutput_token_3": ("ReorderOutput", 4),
        "node_mean": ("ReduceMean", 6),
        "head_token_7": ("QGemm", 10),
    }
    return [operator(name, kind, time, name) for name, (kind, time) in kernels.items()]


def by_openvino() -> list[OperatorTime]:
    """Each operator names what it holds."""
    return [
        operator("input_abcd_acdb_stem.0", "Reorder", 3),
        operator("stem.0/WithoutBiases", "Convolution", 40, "stem.0/WithoutBiases", "stem.0", "n4"),
        operator("block.conv", "Convolution", 30, "block.conv", "node_add"),
        operator("node_mean", "ReduceMean", 7, "node_mean"),
        operator("output", "FullyConnected", 10, "output"),
    ]


def by_litert() -> list[OperatorTime]:
    """Kernels alone, in the file's order; padding went into the convolution."""
    product = "Fully Connected (NC, F32) GEMM"
    kernels = (
        ("Convolution (NHWC, F32) IGEMM", 45),
        (product, 25),
        ("Add (ND)", 5),
        ("Mean (ND) Reduce2", 5),
        (product, 10),
    )
    return [operator(kernel, kernel, time) for kernel, time in kernels]
