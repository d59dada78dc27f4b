"""Reading what `int8.py` wrote: rows of a kind, and intervals over what they pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

Row = dict[str, Any]
Samples = npt.NDArray[np.float64]
OURS, FLOAT = "edgekit", "float f32"
RUNTIMES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "litert": "LiteRT"}
ORDER = (OURS, "NNCF", "ONNX Runtime", "AI Edge", FLOAT, "float bf16", "float f16")


def rows_of(rows: Iterable[Row], **wanted: object) -> list[Row]:
    """Those with these values; what failed is among them only if it is asked for (`failed=True`)."""
    failed = bool(wanted.pop("failed", False))
    return [
        row
        for row in rows
        if ("failed" in row) == failed and all(row[name] == value for name, value in wanted.items())
    ]


def values_of(rows: Iterable[Row], field: str) -> list[Any]:
    """The values of a field, quantizers in the order of the tables, others as they came."""
    found = dict.fromkeys(row[field] for row in rows)
    return sorted(found, key=lambda value: ORDER.index(value) if value in ORDER else 0)


def fastest_rival(cell: Mapping[str, Row]) -> str | None:
    """Of one network's files in one runtime, by quantizer, the fastest that is not ours; None where either failed."""
    ran = {name: row["p50_ms"] for name, row in cell.items() if "failed" not in row}
    others = ran.keys() - {OURS}
    return min(sorted(others), key=ran.__getitem__) if OURS in ran and others else None


def header(*titles: str) -> list[str]:
    """A table's first lines, in Markdown."""
    return ["", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def interval(samples: Sequence[Samples], statistic: Callable[..., Any]) -> tuple[float, float]:
    """95 %, by the percentile bootstrap over what the samples pair; the value alone where nothing varies."""
    value = float(statistic(*samples))
    if len(samples[0]) < 2 or all(np.ptp(sample) == 0 for sample in samples):
        return value, value
    found = bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)
