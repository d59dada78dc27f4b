"""`Recipe`: one file under `recipes/`, the stages in order, their options, and the budget they must keep."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edgekit.frozen import Frozen
from edgekit.stage_options import (
    BEST,
    BEST_OF_WEIGHTS,
    BEST_SCOPE,
    HALF,
    LOOK_AT_PICTURES,
    Criterion,
    Gain,
    MixedPrecision,
    PruneOptions,
    QuantizeOptions,
    RateSchedule,
    RecoverOptions,
    Resource,
    Scope,
    SparsifyOptions,
    allowance,
)
from edgekit.tfmot_options import TfmotClusterOptions, TfmotPruneOptions, TfmotTraining
from edgekit.tomlfile import folder_of, read_named

__all__ = [
    "BEST",
    "BEST_OF_WEIGHTS",
    "BEST_SCOPE",
    "HALF",
    "LOOK_AT_PICTURES",
    "Budget",
    "Criterion",
    "Gain",
    "MixedPrecision",
    "PruneOptions",
    "QuantizeOptions",
    "RateSchedule",
    "Recipe",
    "RecoverOptions",
    "Resource",
    "Scope",
    "SparsifyOptions",
    "Stage",
    "TfmotClusterOptions",
    "TfmotPruneOptions",
    "TfmotTraining",
    "TrainOptions",
    "allowance",
    "list_recipes",
    "load_recipe",
    "trains_channels",
    "uses_tfmot",
]


Stage = Annotated[
    SparsifyOptions
    | PruneOptions
    | RecoverOptions
    | QuantizeOptions
    | TfmotPruneOptions
    | TfmotClusterOptions,
    Field(discriminator="kind"),
]


class TrainOptions(Frozen):
    """How the baseline is trained where no weights are given."""

    epochs: int = Field(default=14, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    batch_size: int = Field(default=64, ge=2)


class Budget(Frozen):
    """What the shipped file may cost; a figure that is not given is not held."""

    accuracy_drop: float | None = Field(default=1.0, ge=0)
    """Percentage points of top-1 (or IoU) from the baseline to the shipped file in its runtime."""
    latency_ms: float | None = Field(default=None, gt=0)
    macs: float | None = Field(default=None, gt=0)
    """At most 1: a share of the baseline's MACs; above: an absolute count."""
    size_bytes: int | None = Field(default=None, gt=0)


class Recipe(Frozen):
    """The stages of a run, the baseline's training, and the budget."""

    id: str
    title: str
    calibration: Literal["data", "random"] = "data"
    """`random` needs no data and gives figures for latency only: nothing is said about accuracy."""
    train: TrainOptions = TrainOptions()
    stages: tuple[Stage, ...]
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _prunes_what_was_prepared(self) -> Self:
        for place, stage in enumerate(self.stages):
            if trains_channels(stage) and self.next_prune(place) is None:
                raise ValueError(f"stages.{place}: a channel pattern does nothing without a prune behind it")
        return self

    def next_prune(self, place: int) -> PruneOptions | None:
        """The first prune behind a stage."""
        return next((stage for stage in self.stages[place + 1 :] if stage.kind == "prune"), None)

    @model_validator(mode="after")
    def _budgets_agree(self) -> Self:
        """Pruning that stops above the budget for MACs could only miss it."""
        pruning = [stage.budgets.get("macs") for stage in self.stages if stage.kind == "prune"]
        limits = [limit for limit in pruning if limit is not None]
        allowed = self.budget.macs
        if limits and allowed is not None and all(_looser(limit, allowed) for limit in limits):
            raise ValueError(
                f"two budgets conflict: pruning stops at macs = {min(limits):g}, and budget.macs is {allowed:g}"
            )
        return self


def _looser(limit: float, budget: float) -> bool:
    """Whether the one leaves more than the other; a share and a count cannot be told apart without the network."""
    return (limit <= 1) == (budget <= 1) and limit > budget


def trains_channels(stage: Stage) -> bool:
    """Whether a stage trains towards zero what the next prune removes."""
    return stage.kind == "sparsify" and stage.pattern == "channel"


def uses_tfmot(stage: Stage) -> bool:
    """Whether a stage trains in TensorFlow's toolkit."""
    if stage.kind == "quantize":
        return stage.method == "tfmot-qat"
    return stage.kind in ("tfmot-prune", "tfmot-cluster")


def load_recipe(name_or_path: str) -> Recipe:
    """The recipe of that name or file; raises `InputError` with file, place and key."""
    return read_named(Recipe, "recipe", name_or_path, aliases={})


def list_recipes() -> list[Recipe]:
    """All recipes that come with edgekit, by id."""
    return [load_recipe(path.stem) for path in sorted(folder_of("recipe").glob("*.toml"))]
