"""LiteRT's `benchmark_model`: the flags that a build of it takes, and what its two output formats say.

v1 is TensorFlow Lite's tool (`tensorflow/lite/tools/benchmark`, now also LiteRT's `tflite/tools/benchmark`), v2 is
LiteRT's `litert/tools/benchmark_litert_model`. Both print a line of statistics of the warm-up and one of the
inferences, in microseconds, and sum up at the end; neither gives the single inferences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBER = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
FLAG = re.compile(r"^\s*--(\w+)=", re.MULTILINE)
"""A line of the tool's own help: `--num_runs=50  int32  optional  …`."""
STATISTICS = re.compile(r"^(?:[\w :\[\]./-]*: )?(count=\d+ .*)$", re.MULTILINE)
FIELD = re.compile(rf"(\w+)={NUMBER}")
V1 = re.compile(
    rf"Inference timings in us: Init: {NUMBER}, First inference: {NUMBER}, "
    rf"Warmup \(avg\): {NUMBER}, Inference \(avg\): {NUMBER}"
)
V2 = re.compile(
    rf"Model initialization:\s+{NUMBER} ms.*?Warmup \(first\):\s+{NUMBER} ms.*?"
    rf"Warmup \(avg\):\s+{NUMBER} ms \(\d+ runs\).*?Inference \(avg\):\s+{NUMBER} ms \(\d+ runs\)",
    re.DOTALL,
)
APPLIED = re.compile(r"Explicitly applied (\w+) delegate, and the model graph will be (\w+) executed")
REFUSED = re.compile(r"Though (\w+) delegate is explicitly applied, the model graph will not be executed")
KERNELS = re.compile(r"by the delegate w/ (\d+) delegate kernels")
REPLACED = re.compile(
    r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\) node, yielding (\d+) partitions"
)
MEMORY = re.compile(
    rf"Memory footprint delta from the start of the tool \(MB\): init={NUMBER} overall={NUMBER}"
)
MEMORY_V2 = re.compile(rf"Overall footprint:\s+{NUMBER} MB")
TAIL_CHARACTERS = 300


class UnknownOutputError(ValueError):
    """What the tool wrote is in no format that is known."""


@dataclass(frozen=True)
class Reading:
    """What one process of the tool says of itself; times in nanoseconds."""

    load_ns: int
    first_ns: int
    """The first inference, the first of the warm-up."""
    inference_ns: int
    """The median of the process's inferences, or their mean where the tool gives no median."""
    statistic: str
    """Which of the two: `median` or `mean`."""
    inferences: int
    p95_ns: int | None
    delegation: Mapping[str, str]
    """`delegate`, `delegated` and `partitions`, as far as the tool's log tells them."""
    memory_growth_mb: float | None
    """By how much the process's peak grew from the tool's start: not the peak itself."""


def flags(help_text: str) -> frozenset[str]:
    """The names of the flags in the tool's `--help`; empty where it is no such tool."""
    names = frozenset(FLAG.findall(help_text))
    return names if {"graph", "num_threads", "num_runs"} <= names else frozenset()


def arguments(
    known: frozenset[str], model: str, *, threads: int, runs: int, seconds: Mapping[str, float]
) -> list[str]:
    """Flags for one process, those that this build takes; `seconds` holds `warmup`, `min` and `max`.

    What would change the result unasked is set: no 16-bit floats (v2 allows them by default), no GPU or NPU, no
    profiling, and XNNPACK applied explicitly, so that v1 says what it took.
    """
    wanted = {
        "graph": model,
        "num_threads": str(threads),
        "num_runs": str(runs),
        "min_secs": f"{seconds['min']:g}",
        "max_secs": f"{seconds['max']:g}",
        "warmup_runs": "1",
        "warmup_min_secs": f"{seconds['warmup']:g}",
        "use_xnnpack": "true",
        "use_cpu": "true",
        "use_gpu": "false",
        "use_npu": "false",
        "allow_fp16": "false",
        "enable_op_profiling": "false",
    }
    return [f"--{name}={value}" for name, value in wanted.items() if name in known]


def read(output: str) -> Reading:
    """Read what a process wrote; raises `UnknownOutputError` where it holds no timings of either format."""
    if found := V1.search(output):
        unit_ns = 1e3
    elif found := V2.search(output):
        unit_ns = 1e6
    else:
        raise UnknownOutputError(f"no timings in what it wrote: …{output.strip()[-TAIL_CHARACTERS:]}")
    init, first, _, mean = (round(float(value) * unit_ns) for value in found.groups())
    fields = _inferences(output)
    median = fields.get("median")
    p95 = fields.get("p95")
    return Reading(
        load_ns=init,
        first_ns=first,
        inference_ns=mean if median is None else round(median * 1e3),
        statistic="mean" if median is None else "median",
        inferences=int(fields["count"]),
        p95_ns=None if p95 is None else round(p95 * 1e3),
        delegation=_delegation(output),
        memory_growth_mb=_memory(output),
    )


def _inferences(output: str) -> dict[str, float]:
    """The second line of statistics (the first is the warm-up's): `count=50 first=… curr=… min=… max=… avg=…`."""
    lines = [dict(FIELD.findall(line)) for line in STATISTICS.findall(output)]
    if len(lines) != 2 or int(lines[1]["count"]) == 0:
        raise UnknownOutputError(
            f"{len(lines)} lines of statistics where a warm-up's and the inferences' belong: "
            f"…{output.strip()[-TAIL_CHARACTERS:]}"
        )
    return {name: float(value) for name, value in lines[1].items()}


def _delegation(output: str) -> dict[str, str]:
    if refused := REFUSED.search(output):
        return {"delegate": "none", "delegated": f"nothing: {refused[1]} took no operator"}
    told: dict[str, str] = {}
    if applied := APPLIED.search(output):
        told = {"delegate": applied[1], "delegated": applied[2]}
        kernels = KERNELS.search(output)
        told["partitions"] = kernels[1] if kernels else "1"
    if replaced := REPLACED.search(output):
        taken, of, name, partitions = replaced.groups()
        told.setdefault("delegate", "XNNPACK" if "xnnpack" in name.lower() else name)
        # `partitions` in this line counts the pieces that stayed, too: the kernels' line is the better one.
        told.setdefault("partitions", f"at most {partitions}")
        told["delegated"] = f"{taken} of {of}"
        told["fell_back"] = str(int(of) - int(taken))
    return told or {"delegate": "unknown", "delegated": "unknown"}


def _memory(output: str) -> float | None:
    if found := MEMORY.search(output):
        return float(found[2])
    found = MEMORY_V2.search(output)
    return float(found[1]) if found else None
