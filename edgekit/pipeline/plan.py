"""What a run will do and about how long it will take, said before it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping

import torch

from edgekit.checkpoint import WEIGHTS
from edgekit.devices import HERE
from edgekit.model import Model, Task
from edgekit.pipeline.baseline import cache_folder, fresh, torch_device
from edgekit.pipeline.job import Job
from edgekit.pipeline.place import place_of
from edgekit.pipeline.prospects import prospects
from edgekit.recipe import Stage, trains_channels, uses_tfmot
from edgekit.stages.losses import loss_of
from edgekit.stages.training import on_device
from edgekit.units import human_seconds

EXPORT_SECONDS = {"onnx": 25, "openvino": 35, "tflite": 40}
"""About what making, exporting, measuring and judging one candidate takes on two cores; only for the forecast."""
_FORMS: Mapping[Task, str] = {
    "classification": "train/CLASS/*.png and val/CLASS/*, or one folder of classes",
    "segmentation": "images/ and masks/, or a pair of them in train/ and in val/",
}
TRIAL_STEPS = 4
TEACHER_SHARE = 1.2
"""A recovery step against a baseline step: the teacher looks too, the student is smaller."""


def plan(job: Job) -> list[str]:
    """The lines that a user reads first: what will be done, on what, and roughly for how long."""
    stages = " → ".join(["baseline", *(stage.kind for stage in job.recipe.stages), "export", "profile"])
    data = job.data
    lines = [
        f"{job.entry.name} for {job.target.title}: {stages} (recipe {job.recipe.id})",
        f"runtime {job.target.runtime}, format {job.target.format}; latency is " + _where(job),
    ]
    if data.demonstration:
        lines.append(
            f"data: {data.name}, built-in demonstration data; give your own with --data DIR ({_FORMS[job.entry.task]})"
        )
    if job.random:
        lines.append("random calibration: latency and size only, no claim about accuracy")
    if data.skipped:
        lines.append(f"{len(data.skipped)} files are no pictures and are left out, {data.skipped[0]} first")
    return [
        *lines,
        *_zeros(job),
        f"about {human_seconds(_forecast(job))} on this machine, going by a few training steps timed just now",
    ]


def _zeros(job: Job) -> Iterator[str]:
    """What each stage that makes zeros could gain, before anything is trained for it."""
    int8 = any(stage.kind == "quantize" for stage in job.recipe.stages)
    for stage in job.recipe.stages:
        if stage.kind != "sparsify" or trains_channels(stage):
            continue
        kernels = job.target.sparse_kernels(int8=int8)
        if stage.pattern == "target" and not kernels:
            continue  # the stage itself says why it does nothing
        pattern = kernels[0].pattern if stage.pattern == "target" else stage.pattern_text
        precision = "int8" if int8 and "int8" in job.target.precisions else "fp32"
        yield prospects(fresh(job), job.target, pattern, precision).sentence


def _where(job: Job) -> str:
    place = place_of(job.target, job.request.device)
    here = job.request.device == HERE
    if place.on_target:
        return f"measured {'here' if here else f'on {place.device.name}'}"
    return (
        f"{place.runtime}'s on {'this machine' if here else place.device.name}, a proxy: it decides nothing"
    )


def _forecast(job: Job) -> float:
    """Seconds, roughly: training steps at the pace of a trial, plus exports and measurements."""
    judged = 1 + len(job.recipe.stages)
    seconds = float(judged * EXPORT_SECONDS[job.target.format])
    if job.data.train is None or job.random:
        return seconds
    steps = math.ceil(len(job.data.train) / job.recipe.train.batch_size)
    model = fresh(job)
    epochs = TEACHER_SHARE * sum(map(_epochs, job.recipe.stages))
    if not job.weights and not job.entry.program and not (cache_folder(job) / WEIGHTS).is_file():
        epochs += job.recipe.train.epochs
    return seconds + epochs * steps * _step_seconds(model, job.recipe.train.batch_size)


def _epochs(stage: Stage) -> int:
    """What a stage trains for at most, PyTorch's quantization-aware training left out: it is rare."""
    if stage.kind == "prune":
        return (stage.steps - 1) * stage.epochs_between
    if stage.kind == "quantize":
        return stage.qat_epochs if uses_tfmot(stage) else 0
    if stage.kind in ("recover", "tfmot-prune", "tfmot-cluster") or (
        stage.kind == "sparsify" and stage.trains
    ):
        return stage.epochs
    return 0


def _step_seconds(model: Model, batch_size: int) -> float:
    """One training step: the fastest of a few, since the first allocates and others may be disturbed."""
    device = torch_device()
    module = on_device(model.module.train(), device)
    images = torch.zeros((batch_size, *model.input_shape[1:]), device=device).to(
        memory_format=torch.channels_last
    )
    pixels = model.input_shape[2:] if model.task == "segmentation" else ()
    targets = torch.zeros((batch_size, *pixels), dtype=torch.int64, device=device)
    loss = loss_of(model.task)
    seconds = []
    for _ in range(TRIAL_STEPS):
        began = time.monotonic()
        loss(module(images), targets, 0.0).backward()  # type: ignore[no-untyped-call]
        seconds.append(time.monotonic() - began)
    return min(seconds)
