"""OpenVINO on the CPU."""

from __future__ import annotations

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


def version() -> str:
    """The installed version, with its build."""
    import openvino

    return str(openvino.get_version())


def precisions() -> list[str]:
    """f32, and bf16 where the processor computes in it."""
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["f32", "bf16"] if "BF16" in capabilities else ["f32"]


class Session:
    """One compiled model; inputs and outputs are float32, (1, C, H, W) in."""

    def __init__(self, path: str, threads: int, options: dict[str, str]) -> None:
        import openvino

        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
            "INFERENCE_PRECISION_HINT": {**OPTIONS, **options}["precision"],
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
