"""Pairs of process-restart blocks, base and candidate side by side: what a gate is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from edgekit.bench import Candidate, Protocol, disturbance
from edgekit.bench.candidate import job, succeeded
from edgekit.bench.latency import block
from edgekit.devices import Device
from edgekit.errors import MeasurementError
from edgekit.frozen import Frozen
from edgekit.gate.fingerprint import refuse_other_machine
from edgekit.measurement import DeviceState, Executed

Metric = Literal["p50", "p90"]
PERCENT = {"p50": 50.0, "p90": 90.0}
SHORT = Protocol(blocks=1, warmup_seconds=0.2, min_seconds=0.4, max_seconds=1.5, min_samples=50)
"""One block of a gate: many short processes tell more than few long ones."""


class Block(Frozen):
    """What one process measured."""

    samples_ns: tuple[int, ...]
    load_ns: int
    peak_rss_bytes: int
    executed: Executed
    version: str
    """The runtime's."""

    def percentile_ms(self, metric: Metric) -> float:
        """Milliseconds."""
        return float(np.percentile(np.asarray(self.samples_ns, dtype=np.float64), PERCENT[metric])) / 1e6


class Pair(Frozen):
    """Two blocks, one after the other."""

    base: Block
    candidate: Block
    base_first: bool
    disturbance: str
    """What the machine told of itself that speaks against this pair; empty where it counts."""

    def log_ratio(self, metric: Metric) -> float:
        """ln(candidate / base)."""
        return math.log(self.candidate.percentile_ms(metric) / self.base.percentile_ms(metric))


def measured_pairs(
    base: Candidate,
    candidate: Candidate,
    device: Device,
    *,
    threads: int,
    protocol: Protocol = SHORT,
    slowdown: float = 0.0,
) -> Iterator[Pair]:
    """Pairs without end in the order A B, B A, A B, …; a drift of the machine falls on both sides alike.

    `slowdown` makes every call of the candidate longer by that share: a regression that is known. Raises
    `MeasurementError` where a side fails or another machine or runtime answers than before, `MissingError` where
    the device is gone.
    """
    slow = {"slowdown": slowdown} if slowdown else {}
    sides = [
        (side, job("latency", side, threads=threads, timeout_s=protocol.timeout_s, limits=limits))
        for side, limits in ((base, protocol.limits), (candidate, protocol.limits | slow))
    ]
    start = before = device.state()
    base_first, versions = True, dict[str, str]()
    while True:
        order = sides if base_first else sides[::-1]
        blocks = [_block(succeeded(block(side, work, device), side.name).values) for side, work in order]
        after = device.state()
        refuse_other_machine(start, after)
        for (side, _), found in zip(order, blocks, strict=True):
            _refuse_other_version(side, found, versions)
        yield _pair(blocks, before, after, base_first=base_first)
        before, base_first = after, not base_first


def _refuse_other_version(side: Candidate, found: Block, versions: dict[str, str]) -> None:
    """Each runtime has one version in a session; `versions` remembers the first that was seen."""
    first = versions.setdefault(side.runtime, found.version)
    if found.version != first:
        raise MeasurementError(
            f"{side.name} ran in {side.runtime} {found.version}, and before it was {first}",
            hint="both sides must run in one version; was something installed meanwhile?",
        )


def _pair(blocks: list[Block], before: DeviceState, after: DeviceState, *, base_first: bool) -> Pair:
    first, second = blocks
    return Pair(
        base=first if base_first else second,
        candidate=second if base_first else first,
        base_first=base_first,
        disturbance=disturbance(before, after),
    )


def _block(values: Mapping[str, Any]) -> Block:
    return Block(
        samples_ns=tuple(values["samples_ns"]),
        load_ns=values["load_ns"],
        peak_rss_bytes=values["peak_rss_bytes"],
        executed=Executed.model_validate(values["executed"]),
        version=values["version"],
    )
