"""OpenVINO on the CPU."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np

NAME = "openvino"
DISTRIBUTION = "openvino"
EXTRA = "openvino"
FORMATS = ("xml", "onnx")
# Left to itself the plugin runs float networks in bf16 where the processor has it: always pinned.
OPTIONS = {"precision": "f32"}
TINY_MODEL = (
    "CAgSADpKCgwKAXgSAXkiBFJlbHUSAFobCgF4EhYKFAgBEhAKAggBCgIIAQoCCAIKAggCYhsKAXkSFgoUCAESEAoCCAEKAggBCgII"
    "AgoCCAJCBAoAEA0="
)

Array = np.ndarray[Any, Any]
HINTS = (
    "PERFORMANCE_HINT",
    "NUM_STREAMS",
    "INFERENCE_NUM_THREADS",
    "INFERENCE_PRECISION_HINT",
    "ENABLE_CPU_PINNING",
)
NOT_RUN = {"Input", "Output"}
# In a profile: how what was fused into another operator is told, and what stands for input and output.
FUSED, BORDER = "undef", {"Parameter", "Result"}


def _openvino() -> Any:
    """The package, without Intel's telemetry: on import that would report, from a process that it forks."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def version() -> str:
    """The installed version, with its build."""
    return str(_openvino().get_version())


def precisions() -> list[str]:
    """f32, and bf16 where the processor computes in it."""
    capabilities = _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["f32", "bf16"] if "BF16" in capabilities else ["f32"]


class Session:
    """One compiled model; inputs and outputs are float32, (1, C, H, W) in."""

    COUNTED = False

    def __init__(self, path: str, threads: int, options: dict[str, str]) -> None:
        openvino = _openvino()
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
            "INFERENCE_PRECISION_HINT": {**OPTIONS, **options}["precision"],
            "PERF_COUNT": "YES" if self.COUNTED else "NO",
        }
        self._tensor = openvino.Tensor
        self._compiled = openvino.Core().compile_model(path, "CPU", config)
        self._request = self._compiled.create_infer_request()

    def feed(self, batch: Array) -> None:
        """Set the input, in memory of its own (the runtime refuses what it cannot write to)."""
        self._fed = np.array(batch, dtype=np.float32, order="C")
        self._request.set_input_tensor(self._tensor(self._fed, shared_memory=True))

    def invoke(self) -> None:
        """One inference on the input that was fed."""
        self._request.infer(share_outputs=True)

    def result(self) -> Array:
        """The first output, as float32."""
        return np.array(self._request.get_output_tensor(0).data, dtype=np.float32)

    def run(self, batch: Array) -> Array:
        """Feed, invoke, result."""
        self.feed(batch)
        self.invoke()
        return self.result()

    def executed(self) -> dict[str, object]:
        """The compiled graph, as the plugin shows it: kernels and the precision that each runs in."""
        model = self._compiled.get_runtime_model()
        constant = _constant(model)
        nodes = [
            node
            for node in model.get_ops()
            if node.get_friendly_name() not in constant and _fact(node, "layerType") not in NOT_RUN
        ]
        weighted = [node for node in nodes if _weighted(node, constant)]
        ran = Counter(_fact(node, "runtimePrecision") for node in weighted)
        integer = ran.pop("i8", 0) + ran.pop("u8", 0)
        kernels = Counter(_fact(node, "primitiveType") for node in weighted)
        hints = {name: str(self._compiled.get_property(name)) for name in HINTS}
        pinned = _short(hints["INFERENCE_PRECISION_HINT"])
        return {
            "operators": Counter(_fact(node, "layerType") for node in nodes),
            "integer_operators": integer,
            "float_operators": ran.total(),
            "float_precision": ran.most_common(1)[0][0] if ran else pinned,
            "details": {
                **hints,
                "INFERENCE_PRECISION_HINT": pinned,
                "kernels": ", ".join(f"{name} ×{count}" for name, count in sorted(kernels.items())),
            },
        }


class Profiled(Session):
    """A session that counts the time of each operator, in whole microseconds."""

    COUNTED = True

    def __init__(self, path: str, threads: int, options: dict[str, str]) -> None:
        super().__init__(path, threads, options)
        self._ran = 0
        self.start()

    def invoke(self) -> None:
        """One inference, counted."""
        super().invoke()
        self._ran += 1

    def start(self) -> None:
        """What ran so far was the warm-up.

        Counters are means since compilation, with the first inference, which takes a hundred times as long:
        what they were here is taken off.
        """
        self._before = self._ran, self._totals() if self._ran else {}

    def operators(self) -> list[dict[str, object]]:
        """Each operator that ran, the file's operators that were fused into it, its mean time since the start."""
        warmup, before = self._before
        after, ran = self._totals(), self._ran - warmup
        origins = {
            node.get_friendly_name(): [name for name in _fact(node, "originalLayersNames").split(",") if name]
            for node in self._compiled.get_runtime_model().get_ops()
        }
        return [
            {
                "name": name,
                "kind": kind,
                "parts": origins.get(name, []),
                "times_ns": [max(0.0, total - before.get((name, kind), 0.0)) / ran],
            }
            for (name, kind), total in after.items()
        ]

    def _totals(self) -> dict[tuple[str, str], float]:
        """Operator and its type → nanoseconds of all inferences, for all that have a kernel of their own."""
        return {
            (found.node_name, found.node_type): found.real_time.total_seconds() * 1e9 * self._ran
            for found in self._request.profiling_info
            if found.exec_type != FUSED and found.node_type not in BORDER
        }


def _fact(node: Any, name: str) -> str:
    return str(node.get_rt_info()[name].astype(str))


def _short(element_type: str) -> str:
    """`<Type: 'bfloat16'>` → `bf16`."""
    return "bf16" if "bfloat16" in element_type else "f16" if "float16" in element_type else "f32"


def _weighted(node: Any, constant: set[str]) -> bool:
    """Whether a node is a convolution or a linear layer; a MatMul of two activations is neither."""
    kind = _fact(node, "layerType")
    if kind == "MatMul":
        return any(value.get_node().get_friendly_name() in constant for value in node.input_values())
    return kind in {"Convolution", "Deconvolution", "FullyConnected"}


def _constant(model: Any) -> set[str]:
    """Names of nodes whose value is known before any input: constants, and what is made of them alone."""
    found: set[str] = set()
    for node in model.get_ordered_ops():
        sources = {value.get_node().get_friendly_name() for value in node.input_values()}
        if _fact(node, "layerType") == "Const" or (sources and sources <= found):
            found.add(node.get_friendly_name())
    return found
