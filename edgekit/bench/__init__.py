"""Measuring and predicting: files run in their runtimes, on a device, each in a clean process of its own."""

from __future__ import annotations

from edgekit.bench.candidate import Candidate, float_candidates, precisions
from edgekit.bench.latency import Protocol, compare, fastest, measure
from edgekit.bench.prediction import predict, predict_split
from edgekit.bench.steadiness import disturbance
from edgekit.devices import Failure

__all__ = [
    "Candidate",
    "Failure",
    "Protocol",
    "compare",
    "disturbance",
    "fastest",
    "float_candidates",
    "measure",
    "precisions",
    "predict",
    "predict_split",
]
