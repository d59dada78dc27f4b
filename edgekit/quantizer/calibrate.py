"""Post-training quantization: scales for every integer tensor, from samples run through the float network."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.errors import InputError
from edgekit.model import ActivationScale, Quantization
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.graphs import operand
from edgekit.quantizer.observers import HistogramObserver
from edgekit.quantizer.placement import activation_name
from edgekit.quantizer.quantizer import Int8Quantizer, Observed
from edgekit.quantizer.quiet import quiet_torch
from edgekit.quantizer.ranges import best_scale

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import fx

    from edgekit.model import Model
    from edgekit.target import Int8Rules

    Array = np.ndarray[Any, Any]

# Functions onto a fixed interval get the grid that LiteRT's 8-bit specification builds into its kernels.
_FIXED = {
    "sigmoid": ActivationScale(scale=1 / 256, zero_point=-128),
    "softmax": ActivationScale(scale=1 / 256, zero_point=-128),
    "tanh": ActivationScale(scale=1 / 128, zero_point=0),
}


def calibrate(model: Model, rules: Int8Rules, batches: Iterable[Array]) -> Quantization:
    """Decide the scale and zero point of every activation that the rules make an integer.

    `batches` are preprocessed samples (n, C, H, W) float32, any n; every value counts, whatever the batches.
    Raises `InputError` for no samples, for another shape, for NaN or infinity and for samples that are all
    one constant (nothing can be learnt from those, and the scales would be wrong in silence).
    """
    samples = _Samples(model)
    graph = folded_graph(model, any_batch=True)
    quantizer = Int8Quantizer(rules, Observed())
    with quiet_torch(), torch.inference_mode():
        from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

        prepared = prepare_pt2e(graph, quantizer)
        for batch in batches:
            prepared(samples.take(batch))
    samples.check()
    return Quantization(
        rules=rules,
        method="ptq",
        activations=_scales(prepared, quantizer, rules),
        calibration_samples=samples.count,
        calibration_sha256=samples.digest.hexdigest(),
    )


def _scales(
    prepared: fx.GraphModule, quantizer: Int8Quantizer, rules: Int8Rules
) -> dict[str, ActivationScale]:
    observers = {
        operand(node, 0).name: prepared.get_submodule(str(node.target))
        for node in prepared.graph.nodes
        if node.op == "call_module"
    }
    leaders = quantizer.placement.leaders
    decided: dict[fx.Node, ActivationScale] = {}
    for leader in dict.fromkeys(leaders.values()):
        alone = sum(other is leader for other in leaders.values()) == 1
        observer = observers[leader.name]
        assert isinstance(observer, HistogramObserver)
        fixed = None if rules.symmetric_activations or not alone else _FIXED.get(activation_name(leader))
        decided[leader] = fixed or best_scale(observer.histogram(), symmetric=rules.symmetric_activations)
    return {node.name: decided[leader] for node, leader in leaders.items()}


class _Samples:
    """The calibration data as it goes by: checked, counted and hashed."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.device = next((tensor.device for tensor in model.module.parameters()), torch.device("cpu"))
        self.digest = hashlib.sha256()
        self.count = 0
        self.low, self.high = np.inf, -np.inf

    def take(self, batch: Array) -> torch.Tensor:
        shape = self.model.input_shape[1:]
        if batch.ndim != 4 or batch.shape[1:] != shape or batch.dtype != np.float32:
            raise InputError(
                f"calibration data is {batch.dtype} {batch.shape}",
                hint=f"{self.model.name} takes float32 (n, {', '.join(map(str, shape))})",
            )
        if not np.isfinite(batch).all():
            bad = self.count + int(np.argmin(np.isfinite(batch).all(axis=(1, 2, 3))))
            raise InputError(
                f"calibration sample {bad} holds NaN or infinity", hint="check the preprocessing"
            )
        batch = np.ascontiguousarray(batch)
        self.digest.update(batch.data)
        self.count += len(batch)
        if len(batch):
            self.low, self.high = min(self.low, batch.min()), max(self.high, batch.max())
        return torch.from_numpy(batch).to(self.device)

    def check(self) -> None:
        if self.count == 0:
            raise InputError(
                "there are no calibration samples", hint="INT8 scales are decided on real inputs"
            )
        if self.low == self.high:
            raise InputError(
                f"every value of the calibration data is {self.low:g}",
                hint="give pictures like those that the device will see",
            )
