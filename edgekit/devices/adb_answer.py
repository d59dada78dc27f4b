"""What processes of `benchmark_model` amount to, in the runner's words; what it does not tell comes from the file."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from edgekit.devices import Answer

if TYPE_CHECKING:
    from edgekit.devices.benchmark_model import Reading
    from edgekit.devices.counting import Counts

RUNTIME = "litert"
CLOCK_NS = 1000
"""The tool tells microseconds."""


def latency(readings: Sequence[Reading], counted: Counts, *, cores: list[int], version: str) -> Answer:
    """Processes as one block: a sample a process, whose first inference is all that is told of its warm-up."""
    return Answer(
        {
            "load_ns": round(median(reading.load_ns for reading in readings)),
            "warmup_ns": [reading.first_ns for reading in readings],
            "samples_ns": [reading.inference_ns for reading in readings],
            "turns": [1] * len(readings),
            "cores": cores,
            "clock_ns": CLOCK_NS,
            "peak_rss_bytes": 0,  # the tool tells only by how much it grew: for a gate, "not measured"
            "executed": {**counted, "sample_of": "process", "details": _details(readings, cores)},
            "version": version,
        }
    )


def _details(readings: Sequence[Reading], cores: list[int]) -> dict[str, str]:
    inferences = round(median(reading.inferences for reading in readings))
    first = readings[0]
    told = {
        "sample": f"the {first.statistic} of {inferences} inferences in a process of benchmark_model, "
        "which gives no single ones: percentiles are over processes",
        "inputs": "random, the tool's own",
        "operators_from": "the file, opened on this machine; the delegation is the phone's own",
        **first.delegation,
        "cores": ", ".join(map(str, cores)) or "not chosen: the phone has no taskset",
    }
    if all(reading.p95_ns is not None for reading in readings):
        inside = median(reading.p95_ns or 0 for reading in readings)
        told["p95_in_a_process_ms"] = f"{inside / 1e6:.3f}"
    if first.memory_growth_mb is not None:
        told["memory_growth_mb"] = f"{median(reading.memory_growth_mb or 0 for reading in readings):g}"
    return told
