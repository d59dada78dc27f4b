"""`Recipe`: one file under `recipes/`, the stages in order, their options, and the budget they must keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeGuard, get_args

from pydantic import Field, model_validator

from edgekit.frozen import Frozen
from edgekit.model import Encoding
from edgekit.target import Pattern
from edgekit.tomlfile import folder_of, read_named

Gain = Literal["latency", "macs", "memory", "size", "compressed_size", "accuracy"]
"""What a stage may be counted for: it is kept only if it gains on one of the figures that its options list."""


class SparsifyOptions(Frozen):
    """Zeros in a pattern that a runtime's kernels exploit, or channels that a prune behind it finds near zero.

    See `stages/sparsify.py` and `stages/sparsify_channels.py`.
    """

    kind: Literal["sparsify"]
    pattern: Literal["target", "channel"] | Pattern = "target"
    """`target` takes the pattern that the target's file names; `2:4` keeps 2 of 4 along input channels; `channel`
    trains towards zero what the next prune removes, and stands or falls with it."""
    counts: tuple[Gain, ...] = ("latency", "compressed_size")
    """Of a channel pattern nothing is counted: the prune behind it is."""
    penalty: Literal["growing", "batch-norm"] = "growing"
    """`growing`: on all weights of the least important channels; `batch-norm`: on the scales of all channels."""
    strength: float | None = Field(default=None, gt=0)
    """What the penalty takes from a norm in all, as a share of what it is at first; by default 2, of scales 0.5."""
    epochs: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=0.02, gt=0)
    batch_size: int = Field(default=64, ge=2)
    distillation: float = Field(default=0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _trains_channels_only(self) -> Self:
        others = {name: field.default for name, field in type(self).model_fields.items()}
        given = [
            name
            for name, default in others.items()
            if name not in ("kind", "pattern", "counts") and getattr(self, name) != default
        ]
        if self.pattern != "channel" and given:
            raise ValueError(f'{", ".join(given)} belong to pattern = "channel"')
        return self


Resource = Literal["macs", "params", "memory_access", "peak_memory", "size"]
"""What pruning can be held to; all but MACs and parameters in bytes, of float32."""
Criterion = Literal["l1", "l2", "batch-norm-scale", "taylor", "reconstruction"]
"""What a channel matters by; see `graph/importance`."""
Scope = Literal["global", "layer"]
"""Channels compete with those of all layers, or every layer loses about the same share."""
LOOK_AT_PICTURES: frozenset[Criterion] = frozenset(("taylor", "reconstruction"))
BEST: Criterion = "taylor"
BEST_OF_WEIGHTS: Criterion = "l2"
BEST_SCOPE: Scope = "layer"
"""What kept most where five criteria were compared, with labelled pictures and without any (docs/pruning.md)."""
HALF: Mapping[Resource, float] = {"macs": 0.5}
"""What pruning is held to where nothing is said."""


class PruneOptions(Frozen):
    """Whole channels removed until the network keeps each budget; see `stages/prune.py`.

    A budget up to 1 is a share of the baseline's, above 1 an absolute count. Without any: half the MACs.
    """

    kind: Literal["prune"]
    macs: float | None = Field(default=None, gt=0)
    params: float | None = Field(default=None, gt=0)
    memory_access: float | None = Field(default=None, gt=0)
    """Bytes that operators read and write."""
    peak_memory: float | None = Field(default=None, gt=0)
    """Bytes of activations that are alive at once."""
    size: float | None = Field(default=None, gt=0)
    """Bytes of the float file, as the target's exporter writes it."""
    criterion: Criterion = BEST
    scope: Scope = BEST_SCOPE
    protect: tuple[str, ...] = ()
    """Layers that keep their weights as they are, by the network's own names; a block's name is all its layers."""
    samples: int = Field(default=256, ge=16)
    """Pictures that `taylor` and `reconstruction` look at."""
    steps: int = Field(default=1, ge=1)
    """Above 1: the budget is reached in so many equal steps, with recovery between."""
    epochs_between: int = Field(default=2, ge=1)
    """Epochs of each recovery between two steps."""
    counts: tuple[Gain, ...] = ("macs",)

    @property
    def budgets(self) -> Mapping[Resource, float]:
        """The budgets that are given."""
        given = {name: getattr(self, name) for name in get_args(Resource)}
        return {name: value for name, value in given.items() if value is not None} or HALF


class RecoverOptions(Frozen):
    """Fine-tuning with distillation from the unpruned network; see `stages/recover.py`."""

    kind: Literal["recover"]
    epochs: int = Field(default=14, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    batch_size: int = Field(default=64, ge=2)
    distillation: float = Field(default=0.5, ge=0, le=1)
    """Weight of the teacher's soft labels in the loss; the rest is cross-entropy on the true ones."""
    temperature: float = Field(default=2.0, gt=0)
    counts: tuple[Gain, ...] = ("accuracy",)


class QuantizeOptions(Frozen):
    """INT8 by the target's rules; see `stages/quantize.py`."""

    kind: Literal["quantize"]
    method: Literal["auto", "ptq", "qat"] = "auto"
    """`auto`: calibration alone, and quantization-aware training where that leaves the accuracy budget."""
    calibration_samples: int = Field(default=256, ge=1)
    qat_epochs: int = Field(default=3, ge=1)
    qat_learning_rate: float = Field(default=0.002, gt=0)
    batch_size: int = Field(default=64, ge=2)
    counts: tuple[Gain, ...] = ("latency", "size", "memory")


class _TfmotOptions(Frozen):
    """How TensorFlow's Model Optimization Toolkit trains; see `stages/tfmot.py`."""

    epochs: int = Field(default=20, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    batch_size: int = Field(default=64, ge=2)
    distillation: float = Field(default=0.5, ge=0, le=1)
    temperature: float = Field(default=2.0, gt=0)
    protect: tuple[str, ...] = ()
    """Layers that keep all their values, by the network's own names; a block's name is all its layers."""


class TfmotPruneOptions(_TfmotOptions):
    """Its `prune_low_magnitude`: zeros that come while it trains, and a file with sparse tensors."""

    kind: Literal["tfmot-prune"]
    pattern: Literal["unstructured"] | Pattern = "unstructured"
    """`2:4` keeps 2 of 4 along input channels."""
    sparsity: float | None = Field(default=None, gt=0, lt=1)
    """The share of zeros in each layer, of `unstructured` (by default 0.8); another pattern has its own."""
    layers: Literal["all", "xnnpack"] = "all"
    """`xnnpack`: only the 1×1 convolutions that its sparse kernels take, where the whole network fits them."""
    schedule: Literal["constant", "polynomial"] = "polynomial"
    """All zeros at `begin`, or more and more until `end`."""
    begin: float = Field(default=0.0, ge=0)
    """In epochs."""
    end: float | None = Field(default=None, gt=0)
    """In epochs; by default after two thirds of them. The zeros are settled then."""
    every: int = Field(default=10, ge=1)
    """Training steps between two choices of what is zero."""
    encoding: Encoding = "sparse"
    counts: tuple[Gain, ...] = ("size", "compressed_size")

    @property
    def zeros(self) -> float:
        """The share of zeros."""
        if self.pattern == "unstructured":
            return 0.8 if self.sparsity is None else self.sparsity
        kept, among = map(int, self.pattern.split(":"))
        return 1 - kept / among

    @property
    def settled(self) -> float:
        """The epoch after which no other weights become zero."""
        return self.epochs * 2 / 3 if self.end is None else self.end

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if self.pattern != "unstructured" and self.sparsity is not None:
            raise ValueError(f"pattern {self.pattern} has no sparsity to choose")
        if not self.begin < self.settled <= self.epochs:
            raise ValueError(
                f"the schedule runs from epoch {self.begin:g} to {self.settled:g}, "
                f"and training ends after {self.epochs}"
            )
        return self


class TfmotClusterOptions(_TfmotOptions):
    """Its weight clustering: each layer's weights take few different values, which a download packs well."""

    kind: Literal["tfmot-cluster"]
    clusters: int = Field(default=16, ge=2, le=256)
    """Different values in a layer."""
    preserve_sparsity: bool = False
    """Zeros stay zeros: one of the values is 0."""
    epochs: int = Field(default=10, ge=1)
    learning_rate: float = Field(default=0.005, gt=0)
    counts: tuple[Gain, ...] = ("compressed_size",)


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


def uses_tfmot(stage: Stage) -> TypeGuard[TfmotPruneOptions | TfmotClusterOptions]:
    """Whether a stage runs in TensorFlow's toolkit."""
    return stage.kind in ("tfmot-prune", "tfmot-cluster")


def trains_channels(stage: Stage) -> bool:
    """Whether a stage trains towards zero what the next prune removes."""
    return stage.kind == "sparsify" and stage.pattern == "channel"


def allowance(limit: float, start: int) -> int:
    """What a budget leaves of a network that costs `start`: up to 1 it is a share, above 1 a count."""
    return int(limit * start if limit <= 1 else limit)


def _looser(limit: float, budget: float) -> bool:
    """Whether the one leaves more than the other; a share and a count cannot be told apart without the network."""
    return (limit <= 1) == (budget <= 1) and limit > budget


def load_recipe(name_or_path: str) -> Recipe:
    """The recipe of that name or file; raises `InputError` with file, place and key."""
    return read_named(Recipe, "recipe", name_or_path, aliases={})


def list_recipes() -> list[Recipe]:
    """All recipes that come with edgekit, by id."""
    return [load_recipe(path.stem) for path in sorted(folder_of("recipe").glob("*.toml"))]
