"""LiteRT (TensorFlow Lite) on the CPU, with its XNNPACK delegate."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
from collections import Counter
from pathlib import Path
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
        self._interpreter.set_tensor(self._input["index"], self.stored(batch))

    def stored(self, batch: Array) -> Array:
        """An input (N, C, H, W) as the file wants it."""
        if self._settings["layout"] == "NHWC":
            batch = batch.transpose(0, 2, 3, 1)
        return _to_file(batch, self._input)

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


class Event(ctypes.Structure):
    """`ProfiledEventData` of litert/c/litert_profiler_event.h, LiteRT 2.3."""

    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_int64 * 6),
        ("index", ctypes.c_uint64),
        ("subgraph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


# Kinds of events: an operator of the interpreter, one inside a delegate.
INTERPRETED, DELEGATED = 1 << 1, 1 << 2 | 1 << 3
CPU, WRITE = 1, 1


class Profiled:
    """A model opened through LiteRT's C interface: its Python one tells no times of operators.

    What runs is the same (XNNPACK on the same threads). Times are in whole microseconds.
    """

    def __init__(self, path: str, threads: int, options: dict[str, str]) -> None:
        self._session = Session(path, threads, options)
        package = importlib.util.find_spec("ai_edge_litert")
        if package is None or package.origin is None:
            raise ModuleNotFoundError("ai_edge_litert has no files", name="ai_edge_litert")
        self._library = ctypes.CDLL(str(Path(package.origin).parent / "libLiteRt.so"))
        self._kept: list[object] = []  # what the library holds pointers to
        self._environment = self._made("LiteRtCreateEnvironment", 0, None)
        model = self._made("LiteRtCreateModelFromFile", self._environment, path.encode())
        self._compiled = self._made(
            "LiteRtCreateCompiledModel", self._environment, model, self._options(threads)
        )
        signature = self._made("LiteRtGetModelSignature", model, ctypes.c_size_t(0))
        self._inputs = self._buffer(signature, "Input")
        self._outputs = self._buffer(signature, "Output")
        self._profiler = self._made("LiteRtCompiledModelGetProfiler", self._compiled)
        self._times: dict[tuple[int, str], list[float]] = {}

    def feed(self, batch: Array) -> None:
        """Set the input, in the file's layout and type."""
        values, size = self._session.stored(batch), ctypes.c_size_t()
        buffer = ctypes.c_void_p(self._inputs[0])
        self._call("LiteRtGetTensorBufferPackedSize", buffer, ctypes.byref(size))
        if size.value != values.nbytes:
            raise ValueError(f"the input takes {size.value} bytes, not {values.nbytes}")
        place = ctypes.c_void_p()
        self._call("LiteRtLockTensorBuffer", buffer, ctypes.byref(place), WRITE)
        ctypes.memmove(place, values.ctypes.data, values.nbytes)
        self._call("LiteRtUnlockTensorBuffer", buffer)

    def invoke(self) -> None:
        """One inference, profiled: what it left is read at the next one."""
        self._collect()
        self._call("LiteRtStartProfiler", self._profiler)
        one = ctypes.c_size_t(1)
        self._call(
            "LiteRtRunCompiledModel",
            self._compiled,
            ctypes.c_size_t(0),
            one,
            self._inputs,
            one,
            self._outputs,
        )
        self._call("LiteRtStopProfiler", self._profiler)

    def start(self) -> None:
        """What ran so far was the warm-up."""
        self._collect()
        self._times.clear()

    def operators(self) -> list[dict[str, object]]:
        """Each operator by its kernel's name, in the order in which they run, with its time in every inference."""
        self._collect()
        return [
            {"name": name, "kind": name, "parts": [], "times_ns": found}
            for (_, name), found in self._times.items()
        ]

    def _collect(self) -> None:
        count = ctypes.c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        if not count.value:
            return
        events = (Event * count.value)()
        self._call("LiteRtGetProfilerEvents", self._profiler, count, events)
        self._call("LiteRtResetProfiler", self._profiler)
        ran = [event for event in events if event.kind & (INTERPRETED | DELEGATED)]
        for place, event in enumerate(ran):
            key = place, event.tag.decode(errors="replace")
            self._times.setdefault(key, []).append(event.elapsed_us * 1e3)

    def _options(self, threads: int) -> ctypes.c_void_p:
        options = self._made("LiteRtCreateOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, CPU)
        nothing = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)  # Python frees what it made
        self._kept.append(nothing)
        texts = {"runtime_options_string": "enable_profiling = true", "xnnpack": f"num_threads = {threads}"}
        for name, text in texts.items():
            payload = ctypes.create_string_buffer(text.encode())
            self._kept.append(payload)
            given = self._made(
                "LiteRtCreateOpaqueOptions", name.encode(), ctypes.cast(payload, ctypes.c_void_p), nothing
            )
            self._call("LiteRtAddOpaqueOptions", options, given)
        return options

    def _buffer(self, signature: ctypes.c_void_p, side: str) -> Any:
        """The first input's or output's memory, as an array of one handle."""
        first, kind = ctypes.c_size_t(0), ctypes.create_string_buffer(256)
        tensor = self._made(f"LiteRtGetSignature{side}TensorByIndex", signature, first)
        self._call("LiteRtGetRankedTensorType", tensor, kind)
        needs = self._made(f"LiteRtGetCompiledModel{side}BufferRequirements", self._compiled, first, first)
        made = self._made("LiteRtCreateManagedTensorBufferFromRequirements", self._environment, kind, needs)
        return (ctypes.c_void_p * 1)(made)

    def _made(self, function: str, *arguments: object) -> ctypes.c_void_p:
        """What a function gives through its last argument."""
        handle = ctypes.c_void_p()
        self._call(function, *arguments, ctypes.byref(handle))
        return handle

    def _call(self, function: str, *arguments: object) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            raise RuntimeError(f"{function} gave status {status}")


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
