"""The options of each stage of a recipe, with what they mean and what does not go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from edgekit.frozen import Frozen
from edgekit.patterns import known, pattern_of

Gain = Literal["latency", "macs", "memory", "size", "compressed_size", "accuracy"]
"""What a stage may be counted for: it is kept only if it gains on one of the figures that its options list."""


class SparsifyOptions(Frozen):
    """Zeros in a pattern (`edgekit.patterns`), or channels that a prune behind it finds near zero.

    See `stages/sparsify.py`, `stages/gradual.py` and `stages/sparsify_channels.py`.
    """

    kind: Literal["sparsify"]
    pattern: str = "target"
    """`target` takes the pattern that the target's file names; `2:4`, `unstructured`, `block-4x1`, `kernel-4` are
    patterns; `channel` trains towards zero what the next prune removes, and stands or falls with it."""
    sparsity: float | None = Field(default=None, gt=0, lt=1)
    """The share of zeros in each layer, of patterns that leave it open."""
    selection: Literal["magnitude", "taylor"] = "magnitude"
    """What a weight matters by: |w|, or (g·w)² over labelled pictures."""
    samples: int = Field(default=256, ge=16)
    """Pictures that `taylor` looks at, where nothing is trained."""
    layers: tuple[str, ...] = ()
    """Only these, by the network's own names; a block's name is all its layers. Without any: all that can."""
    schedule: Literal["once", "constant", "polynomial"] = "once"
    """`once`: nothing is trained; else zeros come while it trains: all at `begin`, or more and more until `end`."""
    begin: float = Field(default=0.0, ge=0)
    """In epochs."""
    end: float | None = Field(default=None, gt=0)
    """In epochs; after half of them by default. The zeros are settled then."""
    every: int = Field(default=16, ge=1)
    """Training steps between two choices of what is zero."""
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

    @field_validator("pattern")
    @classmethod
    def _is_known(cls, pattern: str) -> str:
        return pattern if pattern in ("target", "channel") else known(pattern)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The layers that it names."""
        return self.layers

    @property
    def trains(self) -> bool:
        """Whether zeros come with training."""
        return self.pattern == "channel" or self.schedule != "once"

    @property
    def settled(self) -> float:
        """The epoch after which no other weights become zero."""
        return 0.5 * self.epochs if self.end is None else self.end

    @property
    def pattern_text(self) -> str:
        """The pattern with its share of zeros, as `edgekit.patterns` writes it."""
        return self.pattern if self.sparsity is None else f"{self.pattern}@{100 * self.sparsity:.6g}%"

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        given = {
            name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default
        }
        if self.pattern not in ("target", "channel"):
            pattern_of(self.pattern_text)
        elif self.sparsity is not None:
            raise ValueError(f'pattern = "{self.pattern}" has no sparsity of its own to choose')
        only = {
            'pattern = "channel"': (self.pattern == "channel", {"penalty", "strength"}),
            "training: give a schedule": (
                self.trains,
                {"epochs", "learning_rate", "batch_size", "distillation"},
            ),
            "a schedule": (self.schedule != "once", {"begin", "end", "every"}),
            "weights, not channels": (
                self.pattern != "channel",
                {"selection", "samples", "layers", "schedule"},
            ),
        }
        for owner, (there, names) in only.items():
            if not there and (idle := sorted(given & names)):
                raise ValueError(f"{', '.join(idle)} belong to {owner}")
        if self.schedule != "once" and not self.begin < self.settled <= self.epochs:
            raise ValueError(
                f"the schedule runs from epoch {self.begin:g} to {self.settled:g} of {self.epochs}: it must end by then"
            )
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
    def layer_names(self) -> tuple[str, ...]:
        """The layers that it names."""
        return self.protect

    @property
    def budgets(self) -> Mapping[Resource, float]:
        """The budgets that are given."""
        given = {name: getattr(self, name) for name in get_args(Resource)}
        return {name: value for name, value in given.items() if value is not None} or HALF


RateSchedule = Literal["one-cycle", "cosine"]
"""How the learning rate goes; see `stages/schedule.py`."""
MixedPrecision = Literal["off", "auto"]


class RecoverOptions(Frozen):
    """Fine-tuning with distillation from the unpruned network; see `stages/recover.py`."""

    kind: Literal["recover"]
    epochs: int = Field(default=14, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    batch_size: int = Field(default=64, ge=2)
    distillation: float = Field(default=0.5, ge=0, le=1)
    """Weight of the teacher's soft labels in the loss; the rest is cross-entropy on the true ones."""
    temperature: float = Field(default=2.0, gt=0)
    features: float = Field(default=0.0, ge=0)
    """Weight of the difference between the layers' outputs and those of the same channels of the teacher."""
    schedule: RateSchedule = "one-cycle"
    warm_up: float | None = Field(default=None, ge=0)
    """Epochs in which the rate rises to `learning_rate`; by default a fifth of a one-cycle schedule, none of cosine."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """How much of the weights' moving average each step leaves; the average is what is kept."""
    held_out: float | None = Field(default=None, gt=0, le=0.5)
    """The share of the training pictures that each epoch is judged on; the best one's weights are kept."""
    patience: int | None = Field(default=None, ge=1)
    """Training ends after so many epochs without a better one on the pictures held out."""
    mixed_precision: MixedPrecision = "off"
    """`auto`: bfloat16 or float16 where the device is a GPU; CPUs train in float32."""
    counts: tuple[Gain, ...] = ("accuracy",)

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        if self.patience is not None and self.held_out is None:
            raise ValueError(
                "patience has nothing to judge epochs on: give held_out, a share of the training pictures such as 0.05"
            )
        return self

    @model_validator(mode="after")
    def _comes_to_its_peak(self) -> Self:
        if self.warm_up is not None and self.warm_up >= self.epochs:
            raise ValueError(
                f"warm_up = {self.warm_up:g} leaves nothing of {self.epochs} epochs at the full rate"
            )
        return self


class QuantizeOptions(Frozen):
    """INT8 by the target's rules; see `stages/quantize.py`."""

    kind: Literal["quantize"]
    method: Literal["auto", "ptq", "adaround", "qat", "tfmot-qat"] = "auto"
    """`auto`: calibration alone; where that leaves the accuracy budget AdaRound, and training where that does too.
    `tfmot-qat` trains in TensorFlow's toolkit."""
    calibration_samples: int = Field(default=256, ge=1)
    equalize: bool = True
    """Cross-layer equalization is tried; what is tried is kept where it brings the outputs nearer to the float ones."""
    correct_bias: bool = True
    """Bias correction is tried."""
    adaround_steps: int = Field(default=300, ge=1)
    """Of each layer's reconstruction."""
    qat_epochs: int = Field(default=3, ge=1)
    qat_learning_rate: float = Field(default=0.002, gt=0)
    batch_size: int = Field(default=64, ge=2)
    mixed: bool = True
    """Operators that integers were measured to make slower on the target stay float, and those that cost most where
    INT8 leaves the accuracy budget otherwise; not for units that compute integers alone."""
    counts: tuple[Gain, ...] = ("latency", "size", "memory")


def allowance(limit: float, start: int) -> int:
    """What a budget leaves of a network that costs `start`: up to 1 it is a share, above 1 a count."""
    return int(limit * start if limit <= 1 else limit)
