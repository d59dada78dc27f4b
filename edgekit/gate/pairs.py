"""Pairs of process-restart blocks, base and candidate side by side: what a gate is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from edgekit import runtimes
from edgekit.bench import Candidate, Protocol, disturbance
from edgekit.bench.candidate import job, succeeded
from edgekit.bench.latency import blocks_by_turns
from edgekit.devices import Array, Device
from edgekit.errors import MeasurementError
from edgekit.frozen import Frozen
from edgekit.gate.fingerprint import refuse_other_machine
from edgekit.measurement import DeviceState, Executed

Metric = Literal["p50", "p90"]
PERCENT = {"p50": 50.0, "p90": 90.0}
SHORT = Protocol(blocks=1, warmup_seconds=0.2)
"""One block of a gate: many short processes tell more than few long ones."""
BLOCK_S = 0.5
"""A block's samples take so long in all its turns: one is shorter than what a machine takes to change its clock."""


class Block(Frozen):
    """What one process measured."""

    samples_ns: tuple[int, ...]
    turns: tuple[int, ...] = ()
    """How many of them each turn gave; none where all were taken in one."""
    load_ns: int
    peak_rss_bytes: int
    executed: Executed
    version: str
    """The runtime's."""

    def percentile_ms(self, metric: Metric) -> float:
        """Milliseconds."""
        return float(np.percentile(np.asarray(self.samples_ns, dtype=np.float64), PERCENT[metric])) / 1e6

    @property
    def medians(self) -> Array:
        """The median of each turn, in nanoseconds."""
        ends = np.cumsum(self.turns or [len(self.samples_ns)])
        return np.array([np.median(turn) for turn in np.split(np.asarray(self.samples_ns), ends[:-1])])


class Pair(Frozen):
    """Two blocks, one after the other."""

    base: Block
    candidate: Block
    base_first: bool
    disturbance: str
    """What the machine told of itself that speaks against this pair; empty where it counts."""

    def log_ratio(self, metric: Metric) -> float:
        """ln(candidate / base): for p50 the median over turns of their medians' ratios, for p90 the blocks' ratio.

        A turn and its neighbour see one machine, also where that changes its clock in the middle of a block.
        """
        if metric == "p50":
            return float(np.median(np.log(self.candidate.medians / self.base.medians)))
        return math.log(self.candidate.percentile_ms(metric) / self.base.percentile_ms(metric))


def measured_pairs(
    base: Candidate,
    candidate: Candidate,
    device: Device,
    *,
    threads: int,
    slowdown: float = 0.0,
) -> Iterator[Pair]:
    """Pairs without end; in each, two new processes sample by turns: A B, B A, A B, ….

    `slowdown` makes every call of the candidate longer by that share: a regression that is known. Raises
    `MeasurementError` where a side fails or another machine or runtime answers than before, `MissingError` where
    the device is gone.
    """
    turns = runtimes.find(base.runtime).turns
    limits = SHORT.limits | {"turn_seconds": BLOCK_S / turns}
    slow = {"slowdown": slowdown} if slowdown else {}
    sides = [
        (side, job("latency", side, threads=threads, timeout_s=SHORT.timeout_s, limits=told))
        for side, told in ((base, limits), (candidate, limits | slow))
    ]
    start = before = device.state()
    base_first, versions = True, dict[str, str]()
    while True:
        order = sides if base_first else sides[::-1]
        outcomes = blocks_by_turns(order, device, turns)
        blocks = [
            _block(succeeded(outcome, side.name).values)
            for (side, _), outcome in zip(order, outcomes, strict=True)
        ]
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
        turns=tuple(values.get("turns", ())),
        load_ns=values["load_ns"],
        peak_rss_bytes=values["peak_rss_bytes"],
        executed=Executed.model_validate(values["executed"]),
        version=values["version"],
    )
