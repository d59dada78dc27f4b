"""Post-training quantization: scales, and what else brings the rounded network near; each step stands by a trial."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from edgekit.model import Quantization
from edgekit.quantizer.equalize import equalized, pairs_of
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.quiet import quiet_torch
from edgekit.quantizer.reconstruct import Steps, reconstructed
from edgekit.quantizer.samples import Samples
from edgekit.quantizer.scales import Calibration, Choice
from edgekit.quantizer.scaling import doubt_about
from edgekit.quantizer.simulate import Walk, batches, outputs_of
from edgekit.quantizer.writeback import own_tensors, with_folded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor, nn

    from edgekit.model import Model
    from edgekit.parity import Array
    from edgekit.target import Int8Rules

_TRIAL, _LARGE_TRIAL = 128, 32
"""Samples, or half of those that there are, that decide what is kept: with fewer, chance decides (docs/int8.md)."""
_TRIAL_PIXELS = 128 * 96 * 96
"""Where pictures are large, fewer of them decide: a trial takes as long as their pixels."""
_APART = 64
"""Samples from which on those that decide are others than those that are fitted to."""
_FITTED = 32
"""Samples that are fitted to, whatever they take of memory."""
_KEPT_BYTES = 2**28
_ACTIVATION_BYTES = 2**27
_ENOUGH = 0.1
"""Decibels that a step must gain: less is chance."""


@dataclass(frozen=True)
class Methods:
    """What may be tried beside scales."""

    equalize: bool = True
    correct_bias: bool = True
    rounding_steps: int = 0
    """Above 0: AdaRound, with so many steps a layer."""
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """One step: how near the rounded network's outputs came to the float ones without it and with it."""

    step: str
    before_db: float
    after_db: float

    @property
    def kept(self) -> bool:
        """Whether it brought them nearer."""
        return self.after_db >= self.before_db + _ENOUGH

    def __str__(self) -> str:
        outcome = "kept" if self.kept else "not kept"
        return f"{self.before_db:.1f} to {self.after_db:.1f} dB, {outcome}"


@dataclass(frozen=True, eq=False)
class Quantized:
    """The decision, the network that it is for, and how it came about."""

    module: nn.Module
    """The model's own where nothing but scales was decided."""
    quantization: Quantization
    decibels: float
    observers: dict[str, int]
    uniform: dict[str, float]
    """Decibels with one observer for all tensors."""
    trials: tuple[Trial, ...]
    doubt: str | None
    """Why the calibration data may not be what the network expects."""


def quantize(
    model: Model,
    rules: Int8Rules,
    arrays: Iterable[Array],
    methods: Methods,
    told: Callable[[str], None] = lambda _: None,
) -> Quantized:
    """Decide the scale and zero point of every activation that the rules make an integer, and mend weights and biases.

    Each step is kept only where it brings the rounded network's outputs nearer to the float ones on samples of its
    own: cross-layer equalization, bias correction, AdaRound. `arrays` are preprocessed samples (n, C, H, W) float32,
    any n. Raises `InputError` for no samples, for another shape, for NaN or infinity, in them or in what the network
    makes of them, and for samples that are all one constant: nothing can be learnt from those, and the scales would
    be wrong in silence.
    """
    with quiet_torch(), torch.no_grad():
        work = _Work(model, rules, methods, told)
        found = work.steps(arrays)
        module = with_folded(model, found.changed) if found.changed else model.module
        samples = work.samples
    quantization = Quantization(
        rules=rules,
        method="adaround" if any(trial.step == _ADAROUND and trial.kept for trial in work.trials) else "ptq",
        activations=found.choice.grids,
        calibration_samples=samples.count,
        calibration_sha256=samples.digest.hexdigest(),
    )
    return Quantized(
        module,
        quantization,
        found.decibels,
        found.choice.observers,
        found.choice.trials,
        tuple(work.trials),
        work.doubt,
    )


_EQUALIZATION, _BIAS, _ADAROUND = "equalization", "bias correction", "adaround"


@dataclass(frozen=True, eq=False)
class _Found:
    """The best so far."""

    choice: Choice
    exact: dict[str, Tensor]
    """Weights and biases of an equal float network, by name."""
    changed: dict[str, Tensor]
    """Those of the network that is rounded."""
    decibels: float


class _Work:
    def __init__(self, model: Model, rules: Int8Rules, methods: Methods, told: Callable[[str], None]) -> None:
        self.model, self.methods, self.told = model, methods, told
        self.samples = Samples(model)
        self.calibration = Calibration(folded_graph(model, any_batch=True), rules, own_tensors(model))
        self.kept: list[Tensor] = []
        self.trials: list[Trial] = []
        self.doubt: str | None = None

    def steps(self, arrays: Iterable[Array]) -> _Found:
        calibration, methods = self.calibration, self.methods
        seen = calibration.observe(self.taken(arrays))
        self.samples.check()
        images = torch.cat(self.kept)
        self.trial, self.fit = parted(images)
        self.doubt = doubt_about(self.model, calibration.graph, self.trial)
        self.wanted = outputs_of(Walk(calibration.graph), self.trial)
        choice = calibration.choose(seen, self.trial, self.wanted)
        best = _Found(choice, {}, {}, choice.decibels)
        if methods.equalize and (pairs := pairs_of(calibration)):
            values = equalized(calibration.graph, pairs)
            choice = calibration.choose(
                calibration.observe(batches(images), values), self.trial, self.wanted, values
            )
            best = self.better(_EQUALIZATION, best, _Found(choice, values, values, choice.decibels))
        if methods.correct_bias:
            best = self.mended(_BIAS, best, Steps(correct_bias=True))
        if methods.rounding_steps:
            steps = Steps(methods.correct_bias, methods.rounding_steps, methods.seed)
            best = self.mended(_ADAROUND, best, steps)
        return best

    def taken(self, arrays: Iterable[Array]) -> Iterator[Tensor]:
        """What is calibrated on, checked; of the first, as many as memory is spent on are kept."""
        kept = 0
        for images in filter(len, map(self.samples.take, arrays)):
            room = max(0, _KEPT_BYTES // images[0].nbytes - kept)
            if room:
                self.kept.append(images[:room].clone())  # a caller may fill its array anew
                kept += len(self.kept[-1])
            yield from batches(images)

    def mended(self, step: str, best: _Found, steps: Steps) -> _Found:
        calibration, grids = self.calibration, best.choice.grids
        images = self.fit[: self.at_once()]
        changed = reconstructed(calibration, grids, best.exact, images, steps, told=self.told)
        reached = calibration.decibels(grids, self.trial, self.wanted, changed)
        return self.better(step, best, replace(best, changed=changed, decibels=reached))

    def at_once(self) -> int:
        """As many samples as the widest activation leaves memory for: all layers see the same ones."""
        values = (
            node.meta.get("val") for node in self.calibration.graph.graph.nodes if node.op != "get_attr"
        )
        widest = max(
            math.prod(map(int, value.shape[1:])) for value in values if isinstance(value, torch.Tensor)
        )
        return max(_FITTED, _ACTIVATION_BYTES // (4 * widest))

    def better(self, step: str, best: _Found, other: _Found) -> _Found:
        self.trials.append(Trial(step, best.decibels, other.decibels))
        return other if self.trials[-1].kept else best


def parted(images: Tensor) -> tuple[Tensor, Tensor]:
    """Those that decide, and those that weights and biases are fitted to."""
    if len(images) < _APART:
        return images, images
    affordable = max(_LARGE_TRIAL, _TRIAL_PIXELS // math.prod(images.shape[2:]))
    count = min(_TRIAL, affordable, len(images) // 2)
    return images[:count], images[count:]
