"""`Profile`: what was measured, sample by sample; every statistic is derived from the samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from edgekit.frozen import Frozen

SLOWER = 1.02
"""A ratio of medians up to this is noise on a shared machine."""


class Executed(Frozen):
    """What a runtime really ran, asked of the runtime after compilation."""

    operators: Mapping[str, int]
    """Operator type → how many of them the compiled graph holds."""
    integer_operators: int
    """Of the weighted operators (convolution, linear), how many ran on 8-bit integers."""
    float_operators: int
    """The other weighted operators."""
    float_precision: str
    """What ran where float ran: `f32`, `bf16`, `f16`."""
    sample_of: Literal["inference", "process"] = "inference"
    """`process`: a sample is the median or mean of a process's inferences (`details["sample"]` says which)."""
    details: Mapping[str, str] = {}
    """Flags in force and what the runtime says of itself (delegates, kernels, hints)."""


class DeviceState(Frozen):
    """What a machine tells of itself beside a measurement; `unknown` where it does not."""

    facts: Mapping[str, str]


class Profile(Frozen):
    """Latency of one artifact in one runtime on one device, in nanoseconds for all that the file takes at once.

    `blocks_ns` holds one list per process: iterations inside a process are autocorrelated, so a block is the
    unit that statistics over processes must use. Warm-up is kept apart and never counted.
    """

    device: str
    runtime: str
    runtime_version: str
    threads: int
    blocks_ns: tuple[tuple[int, ...], ...]
    warmup_ns: tuple[tuple[int, ...], ...]
    load_ns: tuple[int, ...]
    """Opening and compiling the file, per block."""
    clock_ns: int = 0
    """The smallest step that the clock was seen to make."""
    cores: tuple[int, ...] = ()
    """What each process was pinned to; none where the system placed its threads, as it does an application's."""
    peak_rss_bytes: tuple[int, ...] = ()
    """The most memory that a process held, runtime and interpreter included, per block."""
    unsteady: tuple[str, ...] = ()
    """Why these figures should be believed less, a reason each; none where nothing is against them."""
    executed: Executed
    before: DeviceState
    after: DeviceState
    between: tuple[DeviceState, ...] = ()
    """After each block."""
    source: Literal["measured", "proxy"] = "measured"
    """`proxy`: another runtime or machine than the target's; never a claim about the device."""

    @property
    def of_processes(self) -> bool:
        """Whether a sample is a process's own median or mean: it has no tail."""
        return self.executed.sample_of == "process"

    @property
    def samples_ns(self) -> list[int]:
        """All samples, block after block."""
        return [sample for block in self.blocks_ns for sample in block]

    def percentile_ms(self, percent: float) -> float:
        """A percentile over all samples, in milliseconds."""
        return float(np.percentile(np.asarray(self.samples_ns, dtype=np.float64), percent)) / 1e6

    @property
    def p50_ms(self) -> float:
        """The median."""
        return self.percentile_ms(50)

    @property
    def p90_ms(self) -> float:
        """Nine of ten inferences are at least as fast."""
        return self.percentile_ms(90)

    @property
    def p99_ms(self) -> float:
        """The tail; with fewer than 1000 samples it rests on a handful of them."""
        return self.percentile_ms(99)

    @property
    def first_ns(self) -> tuple[int, ...]:
        """The first inference of each process: what a user waits for after opening the file."""
        return tuple(block[0] for block in self.warmup_ns if block)

    @property
    def mad_ms(self) -> float:
        """The median absolute deviation of all samples from their median: half of them lie nearer."""
        from scipy.stats import median_abs_deviation

        return float(median_abs_deviation(self.samples_ns)) / 1e6

    @property
    def stability(self) -> str:
        """`steady`, or `unsteady` with every reason."""
        return f"unsteady: {'; '.join(self.unsteady)}" if self.unsteady else "steady"

    @property
    def where(self) -> str:
        """`measured:<device>` or `proxy:<runtime on device>`, as reports print it."""
        return (
            f"measured:{self.device}"
            if self.source == "measured"
            else f"proxy:{self.runtime} on {self.device}"
        )

    def summary(self) -> dict[str, object]:
        """The profile as `report.json` and `--json` give it: statistics beside the raw samples.

        `p90_ms` and `p99_ms` are null where samples are of processes.
        """
        return {
            **self.model_dump(mode="json"),
            "samples_ns": self.samples_ns,
            "p50_ms": self.p50_ms,
            "p90_ms": None if self.of_processes else self.p90_ms,
            "p99_ms": None if self.of_processes else self.p99_ms,
            "mad_ms": self.mad_ms,
            "first_ns": self.first_ns,
            "stability": self.stability,
            "where": self.where,
        }
