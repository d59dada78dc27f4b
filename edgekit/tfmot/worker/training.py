"""Keras's own training loop on a job's arrays, with the toolkit's wrappers on some layers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .keras import keras, tf
from .refused import Refused

Array = np.ndarray[Any, Any]
WARM_UP = 0.2
"""The share of the steps in which the learning rate rises."""
PAUSE_S = 0.2
ADAM_SHARE, ADAM_DECAY = 0.02, 0.01
"""For networks without batch norm, as edgekit's own training has it."""
LABEL_SMOOTHING = 0.1
"""Without a teacher."""


class Batches(keras.utils.Sequence):  # type: ignore[misc]
    """A job's pictures in batches of nearly equal size, in the order of each epoch, channels last."""

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        super().__init__()
        self.folder, self.steps, self.epochs = folder, job["steps"], job["epochs"]
        self.epoch = -1
        self.on_epoch_end()

    def __len__(self) -> int:
        return int(self.steps)

    def __getitem__(self, place: int) -> tuple[Array, Array]:
        chosen = np.array_split(np.arange(len(self.answers)), self.steps)[place]
        images = self.images[chosen].transpose(0, 2, 3, 1)
        return np.ascontiguousarray(images), np.ascontiguousarray(self.answers[chosen])

    def on_epoch_end(self) -> None:
        """Take the next epoch's files, which the other process writes while this one trains, and ask for more."""
        if self.epoch + 1 >= self.epochs:
            return
        self.epoch += 1
        while not (self.folder / f"answers-{self.epoch}.npy").is_file():
            tell(waiting=self.epoch)  # fails, and ends this process, where nobody listens any more
            time.sleep(PAUSE_S)
        self.images = np.load(self.folder / f"images-{self.epoch}.npy", mmap_mode="r")
        self.answers = np.load(self.folder / f"answers-{self.epoch}.npy", mmap_mode="r")
        tell(epoch=self.epoch)


class Teller(keras.callbacks.Callback):  # type: ignore[misc]
    """A line of JSON on stdout for every step, and an end to training whose loss is no number."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Tell the loss."""
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise Refused(
                "the loss is no longer finite: a smaller learning_rate in the recipe, or look for NaN in the data"
            )
        tell(step=batch, loss=loss)


def tell(**values: Any) -> None:
    """One line for the process that waits."""
    print(json.dumps(values), flush=True)  # noqa: T201 (its only way to speak)


def train(model: Any, folder: Path, job: dict[str, Any], callbacks: list[Any]) -> float:
    """Train in place: SGD with Nesterov momentum, the rate rising and falling; gives the last epoch's loss."""
    batches = Batches(folder, job)
    steps = len(batches) * job["epochs"]
    rise = max(1, round(WARM_UP * steps))
    peak = job["learning_rate"] * (ADAM_SHARE if job["adaptive"] else 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        peak / 10, max(1, steps - rise), warmup_target=peak, warmup_steps=rise
    )
    model.compile(_optimizer(schedule, job), loss=_loss(job))
    history = model.fit(
        batches, epochs=job["epochs"], shuffle=False, verbose=0, callbacks=[*callbacks, Teller()]
    )
    return float(history.history["loss"][-1])


def _optimizer(schedule: Any, job: dict[str, Any]) -> Any:
    if job["adaptive"]:
        return keras.optimizers.AdamW(schedule, weight_decay=ADAM_DECAY, global_clipnorm=job["clip"])
    return keras.optimizers.SGD(
        schedule, momentum=0.9, nesterov=True, global_clipnorm=job["clip"] if job["clips"] else None
    )


def _loss(job: dict[str, Any]) -> Callable[[Any, Any], Any]:
    """(1 - d)·cross-entropy + d·T²·KL(teacher ‖ student); answers are one-hot classes, then the teacher's logits."""
    share, heat, classes = job["distillation"], job["temperature"], job["classes"]

    def loss(answers: Any, logits: Any) -> Any:
        true, soft = answers[:, :classes], answers[:, classes:]
        smoothing = 0.0 if share else LABEL_SMOOTHING
        hard = keras.losses.categorical_crossentropy(
            true, logits, from_logits=True, label_smoothing=smoothing
        )
        if not share:
            return hard
        teacher = tf.nn.softmax(soft / heat)
        difference = tf.nn.log_softmax(soft / heat) - tf.nn.log_softmax(logits / heat)
        return (1 - share) * hard + share * heat**2 * tf.reduce_sum(teacher * difference, axis=-1)

    return loss
