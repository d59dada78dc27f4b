"""The float network that a run starts from: the user's weights, or trained once and cached by content."""

from __future__ import annotations

import platform
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock
from platformdirs import user_cache_path

from edgekit import files
from edgekit.checkpoint import WEIGHTS, load_model, save_model
from edgekit.errors import InputError, unknown
from edgekit.model import Event, Model
from edgekit.pipeline.job import Job, content_key
from edgekit.pipeline.network import new_model, with_weights
from edgekit.progress import Progress
from edgekit.quantizer.fold import folded_graph
from edgekit.stages.training import Training, needs_adaptive, recalibrate, train
from edgekit.zoo.hub import WeightsFile

TRAINING_VERSION = 3
"""Raised when the training loop changes what it gives for the same options: cached baselines are then stale."""
HEAD_RATE = 0.1
"""Given weights with a fresh head are fine-tuned at this share of the recipe's learning rate."""


def torch_device() -> str:
    """`cuda` where torch has one, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def fresh(job: Job, num_classes: int | None = None) -> Model:
    """The job's architecture with random weights from its seed; as many classes as the data has, or as given."""
    return new_model(
        job.entry,
        job.data.preprocessing,
        num_classes=num_classes or len(job.data.labels) or None,
        labels=job.data.labels,
        width=job.request.width,
        seed=job.request.seed,
        batch=job.request.batch,
        tried=max(2, job.request.batch),  # calibration and training come in batches
    )


def baseline(job: Job, progress: Progress) -> Model:
    """The trained float network; from the cache where the same one was trained before.

    Raises `InputError` where weights do not fit and where there is nothing to train on.
    """
    _check_layers(job)
    if job.entry.own:
        folded_graph(fresh(job), any_batch=True)  # what cannot be exported is refused before it is trained
    if job.weights is not None:
        model, head_replaced = _given(job, job.weights)
        if not head_replaced:
            return model
        progress.say(f"the head of {job.weights.origin} has other classes: it is replaced and trained")
        return _cached(job, model, progress)
    if job.entry.program:
        return fresh(job).after(Event(stage="baseline", summary=f"weights of {job.entry.origin}"))
    if job.random:
        model = fresh(job)
        # Untrained statistics let activations die out within a few layers: no scale would be a real network's.
        recalibrate(model.module, job.data.calibration, torch_device())
        return model.after(Event(stage="baseline", summary="random weights: latency only"))
    return _cached(job, fresh(job), progress)


def _check_layers(job: Job) -> None:
    """Raise `InputError` for a layer that a stage names and the network has not, before anything is trained."""
    named = [name for stage in job.recipe.stages for name in getattr(stage, "layer_names", ())]
    known = {name for name, _ in fresh(job).module.named_modules() if name} if named else set()
    for name in named:
        if name not in known:
            raise unknown("layer", name, known)


def _given(job: Job, weights: WeightsFile) -> tuple[Model, bool]:
    """The network with the user's weights; where no data says how many classes there are, the file's head does."""
    model, info = with_weights(partial(fresh, job), weights, file_sizes_head=not job.data.labelled)
    return model.after(
        Event(
            stage="baseline",
            summary=f"weights of {weights.origin}",
            details={"weights": weights.origin, "head_replaced": info.head_replaced},
        )
    ), info.head_replaced


def cache_folder(job: Job) -> Path:
    """Where the job's trained baseline is kept; the name is made of all that decides its weights."""
    how = {
        "training": TRAINING_VERSION,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "device": torch_device(),
        "options": job.recipe.train.model_dump(mode="json"),
        **{
            name: value
            for name, value in job.key.items()
            if name not in ("device", "target", "recipe", "batch")
        },
    }
    return user_cache_path("edgekit") / "baselines" / f"{job.entry.name}-{content_key(how)}"


def _cached(job: Job, model: Model, progress: Progress) -> Model:
    folder = cache_folder(job)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write the cache {folder.parent}: {error.strerror}",
            hint="set XDG_CACHE_HOME to a folder that can be written",
        ) from error
    with FileLock(f"{folder}.lock"):  # two runs at once train it once
        if (folder / WEIGHTS).is_file():
            progress.say(f"baseline: trained before, taken from {folder}")
            # The same weights serve files for any number of pictures at once.
            return replace(load_model(folder), input_shape=model.input_shape)
        trained = _trained(job, model, progress)
        with files.new_folder(folder) as temporary:
            save_model(trained, temporary)
    return trained


def _trained(job: Job, model: Model, progress: Progress) -> Model:
    options, device = job.recipe.train, torch_device()
    rate = options.learning_rate * (1 if job.weights is None else HEAD_RATE)
    how = Training(
        task=model.task,
        epochs=options.epochs,
        learning_rate=rate,
        batch_size=options.batch_size,
        seed=job.request.seed,
        device=device,
        title="train the baseline",
        adaptive=needs_adaptive(model.module),
    )
    train(model.module.train(), job.data, how, progress)
    if job.data.train is not None:
        recalibrate(model.module, job.data.train, device)
    model.module.eval()
    return model.after(
        Event(
            stage="baseline",
            summary=f"{options.epochs} epochs on {job.data.name}",
            details={"epochs": options.epochs, "data": job.data.name},
        )
    )
