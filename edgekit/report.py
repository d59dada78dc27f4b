"""`Report`: what a run decided and why, as `report.json` (schema 1) holds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgekit import files
from edgekit.errors import InputError
from edgekit.frozen import Frozen

SCHEMA = 1
REPORT = "report.json"


class Latency(Frozen):
    """Milliseconds per inference of all that the file takes at once, and where they come from."""

    p50: float
    p90: float
    p99: float | None = None
    source: str
    """`measured:<device>`, `proxy:<runtime> on <device>` or `estimate`."""


class LayerRow(Frozen):
    """The static cost of one weighted layer of the shipped network."""

    name: str
    operator: str
    output_shape: tuple[int, ...]
    params: int
    macs: int
    memory_access_bytes: int
    receptive_field: tuple[int, int]
    sparsity: str | None = None


class LayerTime(Frozen):
    """What one layer, or several that the runtime computes as one, took of an inference."""

    name: str
    """The network's own names, joined by ` + `; the runtime's where what ran is none of the network's layers."""
    operators: tuple[str, ...]
    """What the runtime ran for it, in its own words."""
    time_ns: float
    macs: int | None = None
    memory_access_bytes: int | None = None
    """Both of the layers of that name together; null where it is none of the network's."""


class LayerTimes(Frozen):
    """An inference of the shipped file by layer, from a pass of its own: a profiler slows what it watches."""

    source: str
    """`measured:<device>` or `proxy:<runtime> on <device>`."""
    runtime: str
    runtime_version: str
    threads: int
    inferences: int
    """How many the times are means of."""
    rows: tuple[LayerTime, ...]
    """In the network's order; the last one is what an inference took beside its operators."""

    @property
    def total_ns(self) -> float:
        """An inference under the profiler, as its caller saw it."""
        return sum(row.time_ns for row in self.rows)

    @property
    def macs(self) -> int:
        """Of all layers."""
        return sum(row.macs or 0 for row in self.rows)


class Step(Frozen):
    """One row of the stage table; figures that were not taken are null."""

    stage: str
    kept: bool
    reason: str
    seconds: float
    params: int
    macs: int
    memory_access_bytes: int
    size_bytes: int | None
    compressed_size_bytes: int | None = None
    val_accuracy: float | None = None
    """Top-1 (or IoU) in [0, 1] on the split that decisions are taken on."""
    accuracy: float | None = None
    """On the test split, read once at the end: for the baseline and the shipped file in its runtime."""
    fidelity_db: float | None = None
    """SQNR of this step's output against the float baseline's on the same inputs."""
    latency_ms: Latency | None = None
    details: Mapping[str, Any] = {}


class Rival(Frozen):
    """A file that did not ship, measured in the same interleaved run as the one that did."""

    name: str
    precision: str
    latency_ms: Latency | None
    val_accuracy: float | None
    size_bytes: int | None
    shipped: bool
    why: str = ""


class Parity(Frozen):
    """The shipped file, run in a runtime, against the network it came from."""

    runtime: str
    device: str = ""
    """The machine that computed the outputs; empty in older reports."""
    sqnr_db: float
    top1_agreement: float | None
    """The share of equal answers: of pictures, or of pixels where the task is segmentation."""
    samples: int
    integer_operators_in_file: int
    integer_operators_executed: int
    executed_by: str
    """The runtime that was asked what it compiled to."""
    weighted_operators: int
    first_divergence: str | None = None
    repair: tuple[str, ...] = ()
    """What was tried where an INT8 file was under 25 dB from its network; empty where it never was."""
    rules: str = ""
    """Whose rules the INT8 file was read against, and broke none of; empty of a float file, and in older reports."""


class ArtifactSummary(Frozen):
    """The shipped file."""

    path: str
    format: str
    precision: str
    sha256: str
    size_bytes: int
    compressed_size_bytes: int
    notes: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()


class Report(Frozen):
    """The whole run."""

    schema_version: int = SCHEMA
    model: Mapping[str, Any]
    target: Mapping[str, Any]
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    steps: tuple[Step, ...]
    layers: tuple[LayerRow, ...]
    rivals: tuple[Rival, ...]
    parity: Parity | None
    artifact: ArtifactSummary
    profile: Mapping[str, Any] | None
    """`Profile.summary()` of the shipped file, raw samples included."""
    layer_times: LayerTimes | None = None
    """Null where the runtime tells no times of operators, or was not run."""
    command: tuple[str, ...] = ()
    """`edgekit compress …` with every option that decided something: how this run is repeated."""
    budget_failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write `report.json`."""
        files.write_json(folder / REPORT, self.model_dump(mode="json"))


def load_report(folder: Path) -> Report:
    """The report of a run's folder; raises `InputError`."""
    path = folder / REPORT
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no run: no readable {REPORT}") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a report of schema {SCHEMA}: {error}") from error
