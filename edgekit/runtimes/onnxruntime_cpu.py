"""ONNX Runtime on the CPU."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

NAME = "onnxruntime"
DISTRIBUTION = "onnxruntime"
EXTRA = "onnx"
FORMATS = ("onnx",)
# Spinning is ONNX Runtime's own default, so it is what an application gets; alone in its process nobody else
# pays for it (MobileNetV2 on 2 threads: 2.2 ms with it, 3.1 ms without).
# Its Q/DQ optimizer lays a graph out for its own kernels; a file meant for another runtime is run as it is written
# without: `qdq_optimizer` 0 (on one such MobileNetV2 46 dB to its network instead of 36, and 1.4 ms instead of 2.4).
OPTIONS = {"allow_spinning": "1", "qdq_optimizer": "1"}
TINY_MODEL = (
    "CAgSADpKCgwKAXgSAXkiBFJlbHUSAFobCgF4EhYKFAgBEhAKAggBCgIIAQoCCAIKAggCYhsKAXkSFgoUCAESEAoCCAEKAggBCgII"
    "AgoCCAJCBAoAEA0="
)

Array = np.ndarray[Any, Any]
KERNEL = "_kernel_time"
"""What the profiler appends to an operator's name."""
PRECISIONS = {"float": "f32", "float16": "f16", "bfloat16": "bf16", "double": "f64"}


def version() -> str:
    """The installed version."""
    import onnxruntime

    return str(onnxruntime.__version__)


def precisions() -> list[str]:
    """Float files run as they are."""
    return ["f32"]


class Session:
    """One opened model; inputs and outputs are float32, (1, C, H, W) in."""

    def __init__(self, path: str, threads: int, options: dict[str, str]) -> None:
        self._path = path
        self._settings = {"intra_op_threads": str(threads), **OPTIONS, **options}
        self._session = self._open()
        self._input = self._session.get_inputs()[0].name
        self._output = [self._session.get_outputs()[0].name]

    def feed(self, batch: Array) -> None:
        """Set the input."""
        self._fed = {self._input: np.ascontiguousarray(batch, dtype=np.float32)}

    def invoke(self) -> None:
        """One inference on the input that was fed."""
        (self._result,) = self._session.run(self._output, self._fed)

    def result(self) -> Array:
        """The first output, as float32."""
        return np.asarray(self._result, dtype=np.float32)

    def run(self, batch: Array) -> Array:
        """Feed, invoke, result."""
        self.feed(batch)
        self.invoke()
        return self.result()

    def executed(self) -> dict[str, object]:
        """The kernels that run: a profile of one inference on the input last fed, in a session of its own."""
        with tempfile.TemporaryDirectory() as folder:
            session = self._open(profile=str(Path(folder) / "profile"))
            session.run(self._output, self._fed)
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        kernels = [event["args"] for event in events if event["cat"] == "Node"]
        operand_types = Counter(_types(kernel)[0] for kernel in kernels if _weighted(kernel))
        integer = operand_types.pop("int8", 0) + operand_types.pop("uint8", 0)
        (precision, _), *_ = [*operand_types.most_common(1), ("float", 0)]
        return {
            "operators": Counter(kernel["op_name"] for kernel in kernels),
            "integer_operators": integer,
            "float_operators": operand_types.total(),
            "float_precision": PRECISIONS[precision],
            "details": {
                **self._settings,
                "inter_op_threads": "1",
                "execution_mode": "sequential",
                "providers": ", ".join(sorted({kernel["provider"] for kernel in kernels})),
            },
        }

    def _open(self, profile: str = "") -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(self._settings["intra_op_threads"])
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", self._settings["allow_spinning"])
        options.add_session_config_entry(
            "session.disable_quant_qdq", "0" if self._settings["qdq_optimizer"] == "1" else "1"
        )
        if profile:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        return onnxruntime.InferenceSession(self._path, options, providers=["CPUExecutionProvider"])


class Profiled(Session):
    """A session that profiles the time of each kernel, in whole microseconds."""

    def __init__(self, path: str, threads: int, options: dict[str, str]) -> None:
        self._folder, self._ran, self._warmup = tempfile.TemporaryDirectory(), 0, 0
        super().__init__(path, threads, options)

    def invoke(self) -> None:
        """One inference, profiled."""
        super().invoke()
        self._ran += 1

    def start(self) -> None:
        """What ran so far was the warm-up."""
        self._warmup = self._ran

    def operators(self) -> list[dict[str, object]]:
        """Each kernel under its operator's name, with its time in every inference since the start; asked once."""
        with self._folder:
            events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        times: dict[tuple[str, str], list[float]] = {}
        for event in events:
            if event["cat"] == "Node" and event["name"].endswith(KERNEL):
                name = event["name"].removesuffix(KERNEL)
                times.setdefault((name, event["args"]["op_name"]), []).append(event["dur"] * 1e3)
        return [
            {"name": name, "kind": kind, "parts": [name], "times_ns": found[self._warmup :]}
            for (name, kind), found in times.items()
        ]

    def _open(self, profile: str = "") -> Any:
        return super()._open(profile or str(Path(self._folder.name) / "profile"))


def _types(kernel: dict[str, Any]) -> list[str]:
    return [kind for operand in kernel["input_type_shape"] for kind in operand]


def _weighted(kernel: dict[str, Any]) -> bool:
    """Whether a kernel is a convolution or a linear layer.

    A product of two activations (attention) has two operands of rank above 2; a weight matrix has rank 2, or
    is missing from the profile because it was packed when the session was opened.
    """
    name = str(kernel["op_name"])
    if "MatMul" in name:
        shapes = [shape for operand in kernel["input_type_shape"] for shape in operand.values()]
        return sum(len(shape) > 2 for shape in shapes) < 2
    return "Conv" in name or "Gemm" in name
