"""`Model`: a network on its way to a device, and all that must travel with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from edgekit.frozen import Frozen
from edgekit.target import Int8Rules

if TYPE_CHECKING:
    from torch import nn

Task = Literal["classification", "segmentation"]
Encoding = Literal["dense", "sparse"]
"""How a float file holds zeros: like other numbers or, in a `.tflite`, by leaving them out where that is smaller."""


class Preprocessing(Frozen):
    """From a decoded picture to the network's input: resize (bilinear), scale to [0, 1], normalise.

    `input` = (picture / 255 - mean) / std per channel, float32, layout (N, C, H, W).
    """

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        """C: 1 reads pictures as grey, 3 as RGB."""
        return len(self.mean)


class Source(Frozen):
    """How the unpruned architecture is built again: a name and the builder's arguments."""

    name: str
    """Of the zoo; `package.module:factory`, `timm:NAME`, `torchvision:NAME`; or of a `.pt2` or `.keras` file."""
    num_classes: int
    in_channels: int = 3
    width: float = 1.0
    arguments: Mapping[str, Any] = {}
    """A factory's own, as JSON holds them."""
    program: str | None = None
    """The SHA-256 of the `.pt2` file."""
    network: tuple[Mapping[str, Any], ...] | None = None
    """The operators of a Keras network, by `zoo/keras_network.py`."""


class ActivationScale(Frozen):
    """`real = scale · (q - zero_point)`, q signed 8-bit."""

    scale: float
    zero_point: int


class Quantization(Frozen):
    """The INT8 decision of a run: scales by the node's name in the batch-norm-folded exported graph.

    Weights need no entry: per output channel, `max|w| / 127`, zero point 0, of the folded weights.
    """

    rules: Int8Rules
    method: Literal["ptq", "adaround", "qat", "tfmot-qat"]
    activations: Mapping[str, ActivationScale]
    calibration_samples: int
    calibration_sha256: str
    float_operators: tuple[str, ...] = ()
    """Operators of that graph, by name, that stay float though the rules would make them integer."""


Detail = float | int | str | bool | list[str] | dict[str, str] | dict[str, int] | None


class Event(Frozen):
    """One entry of a lineage: what a stage did, in numbers that a report can show."""

    stage: str
    summary: str
    details: Mapping[str, Detail] = {}


@dataclass(frozen=True, eq=False)
class Model:
    """A network and its companions; stages take one and give a new one, never changing their input.

    `module` is float32 throughout, in eval mode, and takes `input_shape` (N, C, H, W), which is also what its
    file takes at once. A model whose
    `quantization` is set is float weights plus scales: exporters and the PyTorch reference derive the
    integers from these two, so that there is one truth.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, int, int, int]
    task: Task
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    source: Source
    sparsity: Mapping[str, str] = field(default_factory=dict)
    survivors: Mapping[str, str] = field(default_factory=dict)
    """Of pruned layers: weight → its output channels, as numbers of the unpruned network's; see `graph/kept.py`."""
    quantization: Quantization | None = None
    lineage: tuple[Event, ...] = ()
    encoding: Encoding = "dense"

    def after(
        self,
        event: Event,
        *,
        module: nn.Module | None = None,
        sparsity: Mapping[str, str] | None = None,
        quantization: Quantization | None = None,
        encoding: Encoding | None = None,
    ) -> Model:
        """The model that a stage returns: what it changed, and one more event in the lineage."""
        return replace(
            self,
            module=self.module if module is None else module,
            sparsity=self.sparsity if sparsity is None else sparsity,
            quantization=self.quantization if quantization is None else quantization,
            lineage=(*self.lineage, event),
            encoding=self.encoding if encoding is None else encoding,
        )

    @property
    def precision(self) -> Literal["int8", "fp32"]:
        """`int8` or `fp32`."""
        return "fp32" if self.quantization is None else "int8"
