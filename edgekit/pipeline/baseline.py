"""The float network that a run starts from: the user's weights, or trained once and cached by content."""

from __future__ import annotations

import platform
from pathlib import Path

import torch
from filelock import FileLock
from platformdirs import user_cache_path

from edgekit import files
from edgekit.checkpoint import WEIGHTS, load_model, save_model
from edgekit.model import Event, Model
from edgekit.pipeline.job import Job, content_key, source_of
from edgekit.progress import Progress
from edgekit.stages.training import Training, recalibrate, train
from edgekit.zoo import build
from edgekit.zoo.weights import load_weights

TRAINING_VERSION = 1
"""Raised when the training loop changes what it gives for the same options: cached baselines are then stale."""
HEAD_RATE = 0.1
"""Given weights with a fresh head are fine-tuned at this share of the recipe's learning rate."""


def torch_device() -> str:
    """`cuda` where torch has one, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def fresh(job: Job, num_classes: int | None = None) -> Model:
    """The job's architecture with random weights from its seed; as many classes as the data has, or as given."""
    torch.manual_seed(job.request.seed)
    source = source_of(job, num_classes)
    size = job.data.preprocessing
    return Model(
        name=job.entry.name,
        module=build(source).eval(),
        input_shape=(1, size.channels, size.height, size.width),
        task=job.entry.task,
        preprocessing=size,
        labels=job.data.labels,
        source=source,
    )


def baseline(job: Job, progress: Progress) -> Model:
    """The trained float network; from the cache where the same one was trained before.

    Raises `InputError` where weights do not fit and where there is nothing to train on.
    """
    if job.request.weights is not None:
        model, head_replaced = _given(job, job.request.weights)
        if not head_replaced:
            return model
        progress.say(f"the head of {job.request.weights.name} has other classes: it is replaced and trained")
        return _cached(job, model, progress)
    if job.random:
        model = fresh(job)
        # Untrained statistics let activations die out within a few layers: no scale would be a real network's.
        recalibrate(model.module, job.data.calibration, torch_device())
        return model.after(Event(stage="baseline", summary="random weights: latency only"))
    return _cached(job, fresh(job), progress)


def _given(job: Job, weights: Path) -> tuple[Model, bool]:
    """The network with the user's weights; where no data says how many classes there are, the file's head does."""
    model = fresh(job)
    info = load_weights(model.module, weights, model.source)
    if info.head_replaced and not job.data.labelled:
        model = fresh(job, info.head_classes)
        info = load_weights(model.module, weights, model.source)
    return model.after(
        Event(
            stage="baseline",
            summary=f"weights of {weights.name}",
            details={"weights": weights.name, "head_replaced": info.head_replaced},
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
        **{name: value for name, value in job.key.items() if name not in ("target", "recipe")},
    }
    return user_cache_path("edgekit") / "baselines" / f"{job.entry.name}-{content_key(how)}"


def _cached(job: Job, model: Model, progress: Progress) -> Model:
    folder = cache_folder(job)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # two runs at once train it once
        if (folder / WEIGHTS).is_file():
            progress.say(f"baseline: trained before, taken from {folder}")
            return load_model(folder)
        trained = _trained(job, model, progress)
        with files.new_folder(folder) as temporary:
            save_model(trained, temporary)
    return trained


def _trained(job: Job, model: Model, progress: Progress) -> Model:
    options, device = job.recipe.train, torch_device()
    rate = options.learning_rate * (1 if job.request.weights is None else HEAD_RATE)
    how = Training(
        epochs=options.epochs,
        learning_rate=rate,
        batch_size=options.batch_size,
        seed=job.request.seed,
        device=device,
        title="train the baseline",
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
