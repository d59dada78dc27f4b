"""What a recipe can do to a model: each stage takes a `Model` and gives a new one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from edgekit.data.split import Data
from edgekit.model import Model
from edgekit.progress import Progress
from edgekit.recipe import PruneOptions
from edgekit.recipe import Stage as Options
from edgekit.target import Target

_STAGES = {
    "sparsify": "edgekit.stages.sparsify:Sparsify",
    "prune": "edgekit.stages.prune:Prune",
    "recover": "edgekit.stages.recover:Recover",
    "quantize": "edgekit.stages.quantize:Quantize",
    "tfmot-prune": "edgekit.stages.tfmot:TfmotPrune",
    "tfmot-cluster": "edgekit.stages.tfmot:TfmotCluster",
}


class RejectedError(Exception):
    """A stage that cannot gain anything here says why; the run rolls it back and goes on."""


@dataclass(frozen=True)
class Departure:
    """How far a file is from its network, and its first tensor that is."""

    sqnr_db: float
    tensor: str
    """By its name in the folded graph; empty where no single one stands out."""
    told: str


class Timing(Protocol):
    """How long networks take as files in the target's runtime on the target."""

    def layers(self, model: Model) -> Mapping[str, float]:
        """Layer, by the network's own name → nanoseconds; those that the runtime tells of."""
        ...

    def medians(self, models: Sequence[Model]) -> list[float | None]:
        """Milliseconds of each in its fastest precision, from one interleaved run; None for one that fails."""
        ...


@dataclass(frozen=True)
class Context:
    """What a stage may know of the run around it."""

    data: Data
    target: Target
    baseline: Model
    """The unpruned float network: the teacher, and what budgets are relative to."""
    accuracy_floor: float | None
    """The least accuracy on the decision split that the budget allows; None where nothing is labelled."""
    seed: int
    torch_device: str
    progress: Progress
    measured_accuracy: Callable[[Model], float | None]
    """Accuracy on the decision split of the exported file in its runtime, so that a stage needs no exporter."""
    file_bytes: Callable[[Model], int]
    """The size of the file that the target's exporter makes of a model."""
    quantizes: bool = True
    """Whether the file will be INT8, so that sparse kernels of other precisions are of no use."""
    next_prune: PruneOptions | None = None
    """The prune that the recipe has behind this stage."""
    timing: Timing | None = None
    """Measures on the target; None where it is not at hand, and speed is anybody's guess."""
    departure: Callable[[Model], Departure | None] = lambda _: None
    """How far the exported INT8 file, in its runtime, is from its network; None where it is near."""


def need_labels(context: Context) -> None:
    """Raise `RejectedError` where nothing is labelled: what a stage takes could be neither judged nor won back."""
    if not context.data.labelled:
        raise RejectedError("no labelled pictures: what it costs could be neither judged nor won back")


class Stage(Protocol):
    """A stage with its options bound."""

    def apply(self, model: Model, context: Context) -> Model:
        """A new model; raises `RejectedError` where nothing can be gained."""
        ...


def stage(options: Options) -> Stage:
    """The stage that these options belong to."""
    module, _, name = _STAGES[options.kind].partition(":")
    return cast("Stage", getattr(importlib.import_module(module), name)(options))
