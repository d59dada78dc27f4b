"""How right outputs are: top-1 for classes, overlap with the true masks for segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.model import Task
from edgekit.parity import Array

Truth = npt.NDArray[np.integer[Any]]
CHUNK = 32
"""Pictures whose answers are held at a time: masks are large."""


@dataclass(frozen=True)
class Score:
    """How right outputs are, in [0, 1]."""

    value: float
    """What decisions are taken on."""
    others: Mapping[str, float] = field(default_factory=dict)
    """What is told beside it, by name."""


class Metric(Protocol):
    """What counts as right for a task."""

    @property
    def name(self) -> str:
        """What the figure is called: `accuracy`, `IoU`."""
        ...

    def score(self, outputs: Array, truth: Truth) -> Score:
        """How right the outputs (n, classes, …) of a network are; truth (n, …) holds class indices."""
        ...

    def agreement(self, reference: Array, other: Array) -> float:
        """The share of answers that two sets of outputs (n, classes, …) have in common."""
        ...


class Top1:
    """The share of pictures whose largest logit is that of their class."""

    name = "accuracy"

    def score(self, outputs: Array, truth: Truth) -> Score:
        """Outputs (n, classes), truth (n,)."""
        return Score(float(np.mean(outputs.argmax(axis=1) == truth)))

    def agreement(self, reference: Array, other: Array) -> float:
        """The share of pictures whose largest logit is the same; (n, classes)."""
        return float(np.mean(reference.argmax(axis=1) == other.argmax(axis=1)))


class Overlap:
    """Intersection over union of masks, pixels counted over all pictures (Everingham et al. 2015, PASCAL VOC).

    One class: that of the foreground, where its probability is above 0.5. Several: the mean over the classes,
    the background among them; a class that is neither there nor answered is left out. F1 (Dice) beside it.
    """

    name = "IoU"

    def score(self, outputs: Array, truth: Truth) -> Score:
        """Outputs (n, classes, H, W), logits; truth (n, H, W), 0 and 1 where there is one class."""
        counts = _confusion(outputs, truth)
        hits, answered, there = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
        if outputs.shape[1] == 1:
            hits, answered, there = hits[1:], answered[1:], there[1:]
        union = answered + there - hits
        if not union.any():  # nothing is there, and nothing was answered
            return Score(1.0, {"f1": 1.0})
        seen = union > 0
        return Score(
            float(np.mean(hits[seen] / union[seen])),
            {"f1": float(np.mean(2 * hits[seen] / (answered + there)[seen]))},
        )

    def agreement(self, reference: Array, other: Array) -> float:
        """The share of pixels with the same answer; (n, classes, H, W)."""
        return float(np.mean(_answers(reference) == _answers(other)))


_METRICS: Mapping[Task, Metric] = {"classification": Top1(), "segmentation": Overlap()}


def metric_of(task: Task) -> Metric:
    """What a task is judged by."""
    return _METRICS[task]


def _answers(outputs: Array) -> Array:
    """(n, classes, H, W) → class indices (n, H, W)."""
    answers: Array = outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(axis=1)
    return answers


def _confusion(outputs: Array, truth: Truth) -> npt.NDArray[np.int64]:
    """Pixels by true class (rows) and answer (columns)."""
    classes = max(2, outputs.shape[1])
    counts = np.zeros(classes * classes, dtype=np.int64)
    for start in range(0, len(outputs), CHUNK):
        answers, true = _answers(outputs[start : start + CHUNK]), truth[start : start + CHUNK]
        counts += np.bincount((true.astype(np.int64) * classes + answers).ravel(), minlength=len(counts))
    return counts.reshape(classes, classes)
