"""The latency protocol: blocks of samples, each in a process of its own, candidates interleaved.

Iterations in a process are autocorrelated, so a restart of the process is the unit (Georges, Buytaert and
Eeckhout, "Statistically Rigorous Java Performance Evaluation", OOPSLA 2007). Orders alternate, A B B A,
so that a drift of the machine falls on all candidates alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgekit import files
from edgekit.artifact import PARITY
from edgekit.bench.candidate import Candidate, installed, job, succeeded
from edgekit.bench.stability import unsteady
from edgekit.bench.steadiness import changes
from edgekit.devices import Answer, Array, Device, Failure, Job
from edgekit.errors import InputError, MeasurementError
from edgekit.measurement import DeviceState, Executed, Profile
from edgekit.parity import batches_of
from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgekit.artifact import ArtifactFolder

ATTEMPTS = 2
"""A throttle may pass; one that comes again is the device's."""
CLOCK_SHARE = 0.05
"""What a clock's step may be of a sample."""

Source = Literal["measured", "proxy"]


@dataclass(frozen=True)
class Protocol:
    """How long is measured: a block ends when both minima are reached, or at `max_seconds`."""

    blocks: int = 3
    warmup_seconds: float = 0.3
    min_seconds: float = 0.7
    max_seconds: float = 3.0
    min_samples: int = 100
    timeout_s: float = 60.0
    """For one block, loading included; longer counts as a hang."""

    def __post_init__(self) -> None:
        if self.blocks < 1 or self.min_samples < 1 or not 0 <= self.min_seconds <= self.max_seconds:
            raise InputError(
                f"impossible protocol: {self}",
                hint="at least one block and one sample, and 0 <= min_seconds <= max_seconds",
            )

    @property
    def limits(self) -> dict[str, float]:
        """What the runner on the device needs of it."""
        return {
            "warmup_seconds": self.warmup_seconds,
            "min_seconds": self.min_seconds,
            "max_seconds": self.max_seconds,
            "min_samples": self.min_samples,
        }


QUICK = Protocol()


def compare(
    candidates: Sequence[Candidate],
    device: Device,
    *,
    threads: int,
    protocol: Protocol = QUICK,
    source: Source = "measured",
    progress: Progress | None = None,
    keep: Path | None = None,
) -> dict[str, Profile | Failure]:
    """Measure candidates side by side, each at the batch that its file takes; one that fails leaves the others alone.

    The input is the artifact's first known ones. What a runtime made of a file on the device (an engine, a profile of
    its layers) comes into a folder of `keep`, named after the candidate. Raises `InputError` for a name used twice,
    an unknown runtime or option; `MissingError` where a runtime is not installed; `MeasurementError` where the clock
    is coarse, and, but for a proxy, where the device changed or throttled each time that it was tried.
    """
    if len({candidate.name for candidate in candidates}) < len(candidates):
        raise InputError(f"candidates share a name: {', '.join(candidate.name for candidate in candidates)}")
    jobs = {
        candidate.name: job(
            "latency", candidate, threads=threads, timeout_s=protocol.timeout_s, limits=protocol.limits
        )
        for candidate in candidates
    }
    for _ in range(ATTEMPTS):
        blocks, failures, states = _blocks(
            candidates, jobs, device, protocol, progress or Silent(), keep=keep is not None
        )
        if source == "proxy" or not (reason := changes(states)):
            break
    else:
        raise MeasurementError(
            f"{device.name} did not stay what it was while it was measured: {reason}",
            hint="let it cool, give it a fixed clock and enough power, then measure again",
        )
    if keep is not None:
        for name, answers in blocks.items():
            _write_kept(keep / name.replace("|", "-"), answers[0].kept if answers else {})
    return {
        candidate.name: failures.get(candidate.name)
        or _profile(candidate, blocks[candidate.name], device.name, threads, states=states, source=source)
        for candidate in candidates
    }


def _blocks(
    candidates: Sequence[Candidate],
    jobs: Mapping[str, Job],
    device: Device,
    protocol: Protocol,
    progress: Progress,
    *,
    keep: bool,
) -> tuple[dict[str, list[Answer]], dict[str, Failure], list[DeviceState]]:
    """All blocks, interleaved; candidates that failed; the device's states before the first and after each."""
    blocks: dict[str, list[Answer]] = {name: [] for name in jobs}
    failures: dict[str, Failure] = {}
    states = [device.state()]
    total = protocol.blocks * len(candidates)
    with progress.task(f"measuring on {device.name}", total) as advance:
        for candidate in _order(candidates, protocol.blocks):
            if candidate.name not in failures:
                first = not blocks[candidate.name]  # later ones would send the same files again
                work = replace(jobs[candidate.name], keep=keep and first)
                outcome = block(candidate, work, device)
                if isinstance(outcome, Failure):
                    failures[candidate.name] = outcome
                else:
                    blocks[candidate.name].append(outcome)
                states.append(device.state())
            advance(note=candidate.name)
    return blocks, failures, states


def fastest(
    candidates: Sequence[Candidate], measured: Mapping[str, Profile | Failure]
) -> tuple[Candidate, Profile]:
    """The one with the least median; raises `MeasurementError` with what became of each where all failed."""
    outcomes = [(candidate, measured[candidate.name]) for candidate in candidates]
    profiles = [(candidate, found) for candidate, found in outcomes if isinstance(found, Profile)]
    if not profiles:
        failed = [f"{one.runtime}: {found.reason}" for one, found in outcomes if isinstance(found, Failure)]
        raise MeasurementError("; ".join(failed))
    return min(profiles, key=lambda pair: pair[1].p50_ms)


def measure(
    candidate: Candidate,
    device: Device,
    *,
    threads: int,
    protocol: Protocol = QUICK,
    source: Source = "measured",
    progress: Progress | None = None,
) -> Profile:
    """`compare` of one; raises `MeasurementError` where it fails."""
    outcomes = compare(
        [candidate], device, threads=threads, protocol=protocol, source=source, progress=progress
    )
    return succeeded(outcomes[candidate.name], candidate.name)


def _write_kept(folder: Path, kept: Mapping[str, bytes]) -> None:
    for name, content in kept.items():
        files.write_bytes(files.inside(folder, name), content)  # the device names them


def _order(candidates: Sequence[Candidate], blocks: int) -> list[Candidate]:
    """A B, then B A, then A B."""
    return [
        candidate
        for block in range(blocks)
        for candidate in (candidates if block % 2 == 0 else reversed(candidates))
    ]


def block(candidate: Candidate, work: Job, device: Device) -> Answer | Failure:
    """One process's samples of a candidate; raises `MeasurementError` where the clock is coarse or went backwards."""
    return _sound(candidate, device.call(work, input_of(candidate.artifact)))


def blocks_by_turns(
    work: Sequence[tuple[Candidate, Job]], device: Device, turns: int
) -> list[Answer | Failure]:
    """One process's samples of each candidate, taken by turns; raises as `block` does.

    A machine whose clock changes from one second to the next is then the same to both.
    """
    inputs = [input_of(candidate.artifact) for candidate, _ in work]
    outcomes = device.call_together([job for _, job in work], inputs, turns)
    return [_sound(candidate, outcome) for (candidate, _), outcome in zip(work, outcomes, strict=True)]


def _sound(candidate: Candidate, outcome: Answer | Failure) -> Answer | Failure:
    outcome = installed(outcome, candidate.runtime)
    if isinstance(outcome, Answer):
        _check_clock(candidate.name, outcome.values["samples_ns"], outcome.values["clock_ns"])
    return outcome


def input_of(artifact: ArtifactFolder) -> Array:
    """The first known inputs, as many as the file takes at once.

    Where there is none: noise of unit variance, as normalised pictures have.
    """
    spec = artifact.manifest.inputs[0]
    if (artifact.folder / PARITY).is_file():
        return batches_of(artifact.parity()[0], spec.shape[0])[0].astype(np.float32)
    batch = np.random.default_rng(0).standard_normal(spec.shape).astype(np.float32)
    return batch.transpose(0, 3, 1, 2) if spec.layout == "NHWC" else batch


def _check_clock(name: str, samples_ns: list[int], step_ns: int) -> None:
    median = float(np.median(samples_ns)) if samples_ns else 0.0
    if (least := min(samples_ns, default=0)) <= 0:
        what = "went backwards" if least < 0 else "did not move during an inference"
        raise MeasurementError(f"{name}: the clock {what}", hint="measure on a machine whose clock is sound")
    if not 0 < step_ns <= CLOCK_SHARE * median:
        raise MeasurementError(
            f"{name}: the clock is too coarse: it moves in steps of {step_ns} ns, and an inference took "
            f"{median:.0f} ns",
            hint="measure a larger input, or on another machine",
        )


def _profile(
    candidate: Candidate,
    blocks: Sequence[Answer],
    device: str,
    threads: int,
    *,
    states: Sequence[DeviceState],
    source: Source,
) -> Profile:
    return Profile(
        device=device,
        runtime=candidate.runtime,
        runtime_version=blocks[0].values["version"],
        threads=blocks[0].values.get("threads", threads),  # a browser may have fewer than were asked for
        blocks_ns=tuple(tuple(block.values["samples_ns"]) for block in blocks),
        warmup_ns=tuple(tuple(block.values["warmup_ns"]) for block in blocks),
        load_ns=tuple(block.values["load_ns"] for block in blocks),
        clock_ns=max(block.values["clock_ns"] for block in blocks),
        cores=tuple(blocks[0].values["cores"]),
        peak_rss_bytes=tuple(block.values["peak_rss_bytes"] for block in blocks),
        unsteady=unsteady([block.values["samples_ns"] for block in blocks], states[0], states[-1]),
        executed=Executed.model_validate(blocks[0].values["executed"]),
        before=states[0],
        after=states[-1],
        between=tuple(states[1:-1]),
        source=source,
    )
