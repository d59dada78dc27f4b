"""The time of each layer of a file, beside what the layer costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.bench import Candidate
from edgekit.bench.layer_join import Layer, join, layers_in
from edgekit.bench.layer_litert import with_parts
from edgekit.bench.layers import time_operators
from edgekit.devices import Failure
from edgekit.errors import MeasurementError
from edgekit.exporters import file_operators
from edgekit.graph.layer import Layer as CostLayer
from edgekit.report import REPORT, LayerRow, LayerTimes, load_report

if TYPE_CHECKING:
    from edgekit.devices import Device
    from edgekit.pipeline.assess import Assessment, Assessor

KnownLayers = Sequence[CostLayer] | Sequence[LayerRow]
"""A network's layers with their costs: as they were just counted, or as a report has them."""


def layer_times(
    candidate: Candidate,
    device: Device,
    layers: KnownLayers,
    *,
    threads: int,
    source: str,
) -> LayerTimes | Failure:
    """Where an inference of a file spends its time, by the network's layers.

    Without `layers` those that the file names, and none of their costs. Raises `MissingError` where the runtime is not
    installed, or the package that reads the file.
    """
    outcome = time_operators(candidate, device, threads=threads)
    if isinstance(outcome, Failure):
        return outcome
    file = file_operators(candidate.artifact)
    known = [Layer(one.name, one.operator, one.macs, one.memory_access_bytes) for one in layers]
    ran = with_parts(outcome.operators, file) if candidate.runtime == "litert" else outcome.operators
    return LayerTimes(
        source=source,
        runtime=candidate.runtime,
        runtime_version=outcome.runtime_version,
        threads=threads,
        inferences=outcome.inferences,
        rows=join(ran, file, known or layers_in(file), outcome.inference_ns),
    )


def times_of(assessor: Assessor, shipped: Assessment) -> LayerTimes | None:
    """The shipped file's, as its latency was measured; None where it was not, or its runtime tells none."""
    if shipped.profile is None:
        return None
    candidate = Candidate("shipped", shipped.artifact, assessor.place.runtime, dict(shipped.options))
    assessor.progress.say(f"timing each layer in {assessor.place.runtime}")
    times = layer_times(
        candidate,
        assessor.place.device,
        shipped.cost.layers,
        threads=shipped.profile.threads,
        source=shipped.profile.where,
    )
    if isinstance(times, Failure):
        assessor.progress.say(f"no times of layers: {times.reason}")
        return None
    return times


def layers_of_run(path: Path) -> Sequence[LayerRow]:
    """The layers that the report of a run tells of, where `path` is the run, its artifact or a file in that; else none.

    Raises `InputError` for a report that cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    run = next((place for place in (folder, folder.parent) if (place / REPORT).is_file()), None)
    return load_report(run).layers if run else ()


def required(times: LayerTimes | Failure, runtime: str) -> LayerTimes:
    """The times; raises `MeasurementError` with what happened where there are none."""
    if isinstance(times, Failure):
        raise MeasurementError(
            f"{runtime} gave no times of its operators: {times.reason}",
            hint="without --layers the whole file is measured",
        )
    return times
