"""What a reader should know before believing a run's figures: its warnings, one line each."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.pipeline.assess import Assessment, Assessor
from edgekit.pipeline.job import Job
from edgekit.pipeline.proof import ENOUGH_DB
from edgekit.quantizer.mixed import float_layers
from edgekit.report import Parity, Step


def doubts(assessor: Assessor, shipped: Assessment, steps: tuple[Step, ...], parity: Parity) -> Iterator[str]:
    """The warnings of a run: about its data, zeros, widths, calibration, latencies and its file, in this order."""
    yield from _about_data(assessor.job, steps[0])
    yield from _about_sparsity(steps)
    yield from _about_widths(assessor.job, steps)
    yield from (
        f"{step.stage}: {doubt}" for step in steps if (doubt := step.details.get("calibration_doubt"))
    )
    yield from _about_latency(assessor, shipped)
    if parity.sqnr_db < ENOUGH_DB:
        near = f"{parity.sqnr_db:.1f} dB from its network, under {ENOUGH_DB:g} dB"
        yield f"the {assessor.job.target.format} file is {near}: see the proof"


def _about_data(job: Job, start: Step) -> Iterator[str]:
    if job.data.demonstration:
        yield (
            f"trained on built-in demonstration data ({job.data.name}: handwritten digits): "
            "give your own with --data DIR"
        )
    if job.random:
        yield "random calibration: latency and size only, nothing is said about accuracy"
    elif not job.data.labelled:
        yield "no labelled pictures: fidelity to the float network stands for accuracy, nothing was pruned"
    reached, classes = start.val_accuracy, len(job.data.labels)
    if job.entry.task == "classification" and reached is not None and reached < 2 / classes:
        yield (
            f"the baseline is hardly better than chance ({100 * reached:.1f} % of {classes} classes): "
            "what follows compares nothing; train it better, or give --weights"
        )


def _about_sparsity(steps: tuple[Step, ...]) -> Iterator[str]:
    for step in steps:
        if step.kept and step.details.get("target_exploits_it") is False:
            yield f"{step.stage}: {step.details['note']}"


def _about_widths(job: Job, steps: tuple[Step, ...]) -> Iterator[str]:
    wanted = job.target.channel_multiple
    for step in steps:
        if step.kept and not job.entry.program and (why := step.details.get("rewritten")):
            yield f"{step.stage}: from here on the network is its exported graph, batch norms as in eval mode: {why}"
        kept = step.details.get("channel_multiple", wanted)
        if step.kept and kept != wanted:
            yield (
                f"{step.stage}: widths are multiples of {kept}, for in multiples of {wanted}, which {job.target.title} "
                "wants, its budget is out of reach: time may fall by less than MACs do"
            )


def _about_latency(assessor: Assessor, shipped: Assessment) -> Iterator[str]:
    job, profile = assessor.job, shipped.profile
    if job.request.batch > 1:
        yield f"MACs, memory access and latency are for {job.request.batch} pictures at once"
        if job.target.bundle:
            yield "no bundle was written: a camera gives one picture at a time"
    if profile and profile.unsteady:
        yield f"the machine was not quiet while latency was measured: {'; '.join(profile.unsteady)}"
    place = assessor.place
    if place.on_target:
        return
    where = "this machine" if place is assessor.here else place.device.name
    yield (
        f"{job.target.title} was not at hand: latencies are {place.runtime}'s on {where}, "
        "a proxy that decided nothing"
    )
    ran = profile.executed if profile and shipped.model.quantization else None
    if ran and ran.float_operators > (meant := len(float_layers(shipped.model))):
        weighted = ran.integer_operators + ran.float_operators
        yield (
            f"{place.runtime} computed {ran.float_operators - meant} of {weighted} convolutions and linear layers of "
            "the INT8 file in float, which on the device are integers: its latency here says nothing about the device"
        )
