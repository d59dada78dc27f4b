"""The options of the stages that run in TensorFlow's toolkit."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from edgekit.frozen import Frozen
from edgekit.model import Encoding
from edgekit.patterns import known, pattern_of
from edgekit.stage_options import Gain


class TfmotTraining(Frozen):
    """How TensorFlow's Model Optimization Toolkit trains; see `stages/tfmot.py`."""

    epochs: int = Field(default=20, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    batch_size: int = Field(default=64, ge=2)
    distillation: float = Field(default=0.5, ge=0, le=1)
    temperature: float = Field(default=2.0, gt=0)
    protect: tuple[str, ...] = ()
    """Layers that keep all their values, by the network's own names; a block's name is all its layers."""


class TfmotPruneOptions(TfmotTraining):
    """Its `prune_low_magnitude`: zeros that come while it trains, and a file with sparse tensors."""

    kind: Literal["tfmot-prune"]
    pattern: str = Field(default="unstructured", pattern=r"^(unstructured|\d+:\d+)$")
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

    @field_validator("pattern")
    @classmethod
    def _is_known(cls, pattern: str) -> str:
        return known(pattern)

    @property
    def zeros(self) -> float:
        """The share of zeros."""
        if self.pattern == "unstructured":
            return 0.8 if self.sparsity is None else self.sparsity
        return pattern_of(self.pattern).sparsity

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


class TfmotClusterOptions(TfmotTraining):
    """Its weight clustering: each layer's weights take few different values, which a download packs well."""

    kind: Literal["tfmot-cluster"]
    clusters: int = Field(default=16, ge=2, le=256)
    """Different values in a layer."""
    preserve_sparsity: bool = False
    """Zeros stay zeros: one of the values is 0."""
    epochs: int = Field(default=10, ge=1)
    learning_rate: float = Field(default=0.005, gt=0)
    counts: tuple[Gain, ...] = ("compressed_size",)
