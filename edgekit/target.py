"""`Target`: one file under `targets/`, the facts about a device that decide how a network is compressed."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edgekit.frozen import Frozen
from edgekit.patterns import pattern_of
from edgekit.tomlfile import folder_of, read_named


class Int8Rules(Frozen):
    """Where a runtime's kernels want Quantize/Dequantize, and how; the quantizer reads nothing else.

    Weights are always signed, symmetric, per output channel; biases always float in the graph. The input of
    every convolution and linear layer carries Q/DQ under all rules; what is concatenated shares one scale.
    """

    symmetric_activations: bool
    """Zero point 0 everywhere (TensorRT); else affine, per tensor."""
    quantize_results: bool
    """The result of every convolution and linear layer carries Q/DQ, even where only float operators read it;
    that of the last one, where it is the network's output, only with `quantize_output`."""
    quantize_output: bool
    """The network's output carries Q/DQ too (LiteRT: the whole file is integers)."""
    quantize_pooling: bool
    """Q/DQ around average pooling, so that it runs on integers."""
    quantize_multiply: bool
    """Q/DQ around the product of two activations (squeeze-and-excitation's gate)."""
    quantize_movement: bool
    """Between two integer operators, Q/DQ of the same scale after each that only moves values (reshape, split,
    max pooling); without, runtimes must see through these."""
    residual_inputs: Literal["both", "skip", "none"]
    """Inputs of a residual add that carry Q/DQ: both; only the branch that does not come straight from a conv;
    or only those that are integers for another reason."""
    residual_output: bool
    """The add's result carries Q/DQ."""
    unsigned_activations: bool
    """Files hold activations as uint8, q + 128: ONNX Runtime makes int8 activations uint8 on x86, but not those
    that two operators read, and then leaves these operators in float."""
    fused_activations: tuple[str, ...]
    """What a convolution, linear layer or add computes in one go: no Q/DQ before these (`relu`, `relu6`, `clamp`
    for other bounds, else ATen's names)."""
    fused_by_grid: bool = False
    """They are left out where the integers behind them end where they cut (ONNX Runtime); Q/DQ before one whose
    scale is shared with values beyond its bounds, else what is before it stays float."""


def _possible(pattern: str) -> str:
    return pattern_of(pattern).text


Positive = Annotated[float, Field(gt=0)]
Pattern = Annotated[str, AfterValidator(_possible)]
"""A sparsity pattern as `edgekit.patterns` writes it: 2:4, unstructured@75%."""


class SparsitySupport(Frozen):
    """A pattern that the runtime has kernels for, and the layers on which they can gain."""

    pattern: Pattern
    """Where it has a share of zeros: the least that gains."""
    operators: tuple[Literal["conv", "linear"], ...]
    min_channels: int = 1
    """Fewer input or output channels than this never gain."""
    pointwise: bool = False
    """Of convolutions only those with 1×1 kernels, stride 1."""
    precisions: tuple[Literal["int8", "fp16", "fp32"], ...] = ("int8", "fp16")
    """Of the sparse kernels."""
    rate: float | None = Field(default=None, ge=1)
    """How much faster they multiply than the dense ones, at their peak; left out where nobody tells."""
    note: str = ""

    def covers(self, pattern: str) -> bool:
        """Whether these kernels take weights of that pattern."""
        asked, own = pattern_of(pattern), pattern_of(self.pattern)
        kinds = [text.partition("@")[0] for text in (asked.text, own.text)]
        return kinds[0] == kinds[1] and asked.sparsity >= own.sparsity


class HostMatch(Frozen):
    """When the machine that runs edgekit is itself the target: every fact given must match."""

    machine: tuple[str, ...] = ()
    """Values of `platform.machine()`."""
    device_tree: str = ""
    """A text in `/proc/device-tree/model` (boards name themselves there)."""


class FileRules(Frozen):
    """What an INT8 file must hold to, as its checker reads it; a manifest remembers it."""

    runtime: Literal["tensorrt", "openvino", "litert", "onnxruntime"]
    opset: int | None = None
    """The highest that the runtime's parser takes."""
    integer_only: bool = False
    """No float tensor, inputs and outputs included."""
    operators: tuple[str, ...] = ()
    """The only kinds that the runtime takes, by the format's names; empty: all of the format's."""
    float_layers: tuple[str, ...] = ()
    """Layers that were left in float, because integers make them slower or cost too much: no rule speaks of them."""


class Target(Frozen):
    """A device or a class of devices; figures that are not known are left out."""

    id: str
    title: str
    aliases: tuple[str, ...] = ()
    runtime: Literal["tensorrt", "openvino", "litert", "onnxruntime"]
    format: Literal["onnx", "openvino", "tflite"]
    precisions: tuple[Literal["int8", "fp16", "bf16", "fp32"], ...]
    driven: bool = True
    """edgekit's runtime file runs on the very unit that the target names; else a device's figures are a proxy's."""
    recipe: str
    opset: int | None = None
    integer_only: bool = False
    """The unit computes integers alone: its file takes and gives INT8, and holds no float tensor."""
    operators: tuple[str, ...] = ()
    """Kinds that the unit takes, by the format's names; left out where nobody tells."""
    other_operators: str = ""
    """What computes all others; where nothing does, a file that has some is refused."""
    channel_multiple: int = Field(default=1, ge=1)
    int8: Int8Rules
    sparsity: tuple[SparsitySupport, ...] = ()
    dense_because: str = ""
    """Why zeros gain no speed, where the runtime has no kernels for them at all."""
    host: HostMatch | None = None
    proxy_runtime: Literal["openvino", "litert", "onnxruntime"]
    """Opens the file on the machine that runs edgekit; the runtime itself where it can run here."""
    proxy_options: Mapping[str, str] = {}
    """Options of the proxy (named by its runtime's file) for INT8 files."""
    integer_witness: Literal["openvino", "litert", "onnxruntime"] | None = None
    """Compiles the file once more, to count the operators that run on integers, where the proxy runs it as it is
    written."""
    memory_gb: Positive | None = None
    bandwidth_gb_s: Positive | None = None
    """To the memory that weights and activations lie in, at its peak."""
    sram_mb: Positive | None = None
    """On the chip, for weights or activations."""
    int8_dense_tops: Positive | None = None
    """Peak rates count a multiply-accumulate as two operations; vendors advertise the sparse ones."""
    int8_sparse_tops: Positive | None = None
    fp16_dense_tflops: Positive | None = None
    fp32_tflops: Positive | None = None
    bundle: bool = False
    """A run also writes what an app takes: the file with its description, its code and its known answers."""
    page: bool = False
    """An export is a folder with a page that runs the file in a browser."""
    app_formats: tuple[Literal["coreml"], ...] = ()
    """What a bundle holds beside the .tflite, where it can be converted."""
    next_steps: tuple[str, ...] = ()
    """What to do on the device with the artifact."""

    def operations_per_second(self, precision: str) -> float | None:
        """The dense peak rate in `int8`, `fp16` or `fp32`; None where the file has none."""
        rates = {"int8": self.int8_dense_tops, "fp16": self.fp16_dense_tflops, "fp32": self.fp32_tflops}
        found = rates.get(precision)
        return None if found is None else found * 1e12

    @property
    def file_rules(self) -> FileRules:
        """What its INT8 files are held to."""
        return FileRules(
            runtime=self.runtime,
            opset=self.opset if self.runtime == "tensorrt" else None,
            integer_only=self.integer_only,
            operators=() if self.other_operators else self.operators,
        )

    def sparse_kernels(self, *, int8: bool) -> tuple[SparsitySupport, ...]:
        """Those that a file can use which is INT8, or which is not."""
        return tuple(
            each
            for each in self.sparsity
            if ("int8" in each.precisions if int8 else set(each.precisions) - {"int8"})
        )

    @property
    def is_host(self) -> bool:
        """Whether this machine is the target: latency measured here, in `runtime_here`, is the target's."""
        if self.host is None:
            return False
        tree = Path("/proc/device-tree/model")
        board = tree.read_text(errors="replace") if self.host.device_tree and tree.exists() else ""
        return (
            not self.host.machine or platform.machine() in self.host.machine
        ) and self.host.device_tree in board

    @property
    def runtime_here(self) -> str:
        """What latency is measured in on this machine: the target's own runtime where it is the target."""
        return self.runtime if self.is_host else self.proxy_runtime


def load_target(name_or_path: str) -> Target:
    """The target of that name, alias or file; raises `InputError` with the near names."""
    return read_named(Target, "target", name_or_path, aliases=_aliases())


def list_targets() -> list[Target]:
    """All targets that come with edgekit, by id."""
    return [load_target(path.stem) for path in sorted(folder_of("target").glob("*.toml"))]


@cache
def _aliases() -> dict[str, str]:
    return {
        alias: target.id
        for path in sorted(folder_of("target").glob("*.toml"))
        for target in [read_named(Target, "target", path.stem, aliases={})]
        for alias in target.aliases
    }
