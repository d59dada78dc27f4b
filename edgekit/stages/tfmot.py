"""Pruning, clustering and rounding by TensorFlow's Model Optimization Toolkit, on the network's twin in Keras.

The network goes over as plain operators and weights, is trained there, and its weights come back into the very module
that the run has: what is judged, exported and proven is the same as of any other stage.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.graph.describe import describe
from edgekit.graph.description import Description
from edgekit.graph.trace import trace
from edgekit.model import Detail, Event, Model
from edgekit.patterns import density, pattern_of
from edgekit.recipe import QuantizeOptions, TfmotClusterOptions, TfmotPruneOptions, TfmotTraining
from edgekit.stages import Context, RejectedError, need_labels
from edgekit.stages.tfmot_data import Epochs
from edgekit.stages.training import needs_adaptive, recalibrate
from edgekit.tfmot import process

SILENCE_S = 1800.0
"""The longest that a step of training may take, and loading TensorFlow."""
CLIP = 1.0
"""The norm of gradients: a cluster's is the sum of its members'."""
UNSTRUCTURED = "unstructured@"
SHORT = 0.5
"""Points of a layer's zeros that may be missing: weights of equal magnitude stay together."""


@dataclass(frozen=True)
class TfmotPrune:
    """`prune_low_magnitude` (Zhu and Gupta 2017): zeros come while it trains."""

    options: TfmotPruneOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The trained model, whose float file has sparse tensors where the options say so.

        Raises `RejectedError` where nothing is labelled and no layer can carry the pattern, `InputError` for an
        operator that Keras lacks, `MissingError` without the toolkit.
        """
        options = self.options
        method = {
            "kind": "prune",
            "sparsity": options.zeros,
            "m_by_n": _zeros_of(options.pattern),
            "xnnpack": options.layers == "xnnpack",
            "schedule": options.schedule,
            "begin": options.begin,
            "end": options.settled,
            "every": options.every,
            "protect": list(options.protect),
        }
        trained = _train(model, context, options, method, title="tfmot-prune")
        pattern = options.pattern if method["m_by_n"] else f"{UNSTRUCTURED}{100 * options.zeros:.6g}%"
        event = Event(
            stage="tfmot-prune",
            summary=f"{pattern} on {len(trained.layers)} of {trained.weighted} weighted layers",
            details={
                "pattern": pattern,
                "schedule": options.schedule,
                "epochs": options.epochs,
                "density": {name: f"{100 * trained.density(name):.1f} %" for name in trained.layers},
                "without": trained.without,
                "loss": trained.loss,
                "toolkit": trained.versions,
            },
        )
        reached = {name: _reached(name, trained.weight(name), pattern) for name in trained.layers}
        sparsity = {**model.sparsity, **reached}
        return model.after(event, module=trained.module, sparsity=sparsity, encoding=options.encoding)


@dataclass(frozen=True)
class TfmotCluster:
    """Weight clustering (Han et al. 2016): each layer's weights become few different values, which are trained."""

    options: TfmotClusterOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The trained model; what it raises is what `TfmotPrune` does."""
        options = self.options
        method = {
            "kind": "cluster",
            "clusters": options.clusters,
            "preserve_sparsity": options.preserve_sparsity,
            "protect": list(options.protect),
        }
        trained = _train(model, context, options, method, title="tfmot-cluster")
        values = {name: len(torch.unique(trained.weight(name))) for name in trained.layers}
        event = Event(
            stage="tfmot-cluster",
            summary=f"{max(values.values())} values at most in {len(values)} of {trained.weighted} weighted layers",
            details={
                "clusters": options.clusters,
                "epochs": options.epochs,
                "values": values,
                "without": trained.without,
                "loss": trained.loss,
                "toolkit": trained.versions,
            },
        )
        held = {name: text for name, text in model.sparsity.items() if options.preserve_sparsity}
        return model.after(event, module=trained.module, sparsity=held)


def train_rounded(
    model: Model, context: Context, options: QuantizeOptions
) -> tuple[nn.Module, dict[str, Detail]]:
    """Quantization-aware training (Jacob et al. 2018): float weights that were trained while TF-MOT rounded them.

    Zeros of a pattern stay, as its pruning-preserving scheme keeps them. Gives what is to be told too; raises as
    `TfmotPrune` does.
    """
    how = TfmotTraining(
        epochs=options.qat_epochs, learning_rate=options.qat_learning_rate, batch_size=options.batch_size
    )
    method = {"kind": "quantize", "keep_zeros": bool(model.sparsity)}
    trained = _train(model, context, how, method, title="tfmot-qat")
    return trained.module, {"loss": trained.loss, "toolkit": trained.versions}


@dataclass(frozen=True)
class _Trained:
    module: nn.Module
    layers: list[str]
    """By the network's own names."""
    without: dict[str, str]
    loss: float
    versions: dict[str, str]

    @property
    def weighted(self) -> int:
        return len(self.layers) + len(self.without)

    def weight(self, layer: str) -> torch.Tensor:
        return self.module.get_parameter(f"{layer}.weight").detach()

    def density(self, layer: str) -> float:
        return density(self.weight(layer).numpy())


def _zeros_of(pattern: str) -> list[int] | None:
    """TF-MOT counts zeros: M - N of M."""
    if pattern == "unstructured":
        return None
    kept, among = map(int, pattern.split(":"))
    return [among - kept, among]


def _reached(layer: str, weight: torch.Tensor, pattern: str) -> str:
    """The pattern that a layer holds: what was asked for, or the share of zeros that equal magnitudes left of it.

    Raises `RejectedError` where these are many, as behind clustering, `EdgekitError` where N:M does not hold.
    """
    if pattern_of(pattern).holds(weight.numpy()):
        return pattern
    share = math.floor(1000 * (1 - density(weight.numpy()))) / 10
    if pattern.startswith(UNSTRUCTURED) and share >= float(pattern[len(UNSTRUCTURED) : -1]) - SHORT:
        return f"{UNSTRUCTURED}{share:g}%"
    if pattern.startswith(UNSTRUCTURED):
        raise RejectedError(
            f"{layer} has {share:g} % zeros, not {pattern}: TF-MOT keeps weights of equal magnitude together "
            "(prune before clustering, and cluster with preserve_sparsity)"
        )
    raise EdgekitError(f"TF-MOT left {layer} without the pattern {pattern}")


def _train(
    model: Model,
    context: Context,
    options: TfmotTraining,
    method: dict[str, Any],
    *,
    title: str,
) -> _Trained:
    need_labels(context)
    split = context.data.train
    if split is None:
        raise RejectedError("no labelled pictures to train on")
    description = describe(trace(model.module, (2, *model.input_shape[1:])))
    _check_unshared(description)
    epochs = Epochs(split, context, options)
    job = {
        "kind": "train",
        "network": list(description.operators),
        "method": method,
        "epochs": options.epochs,
        "steps": epochs.steps,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "distillation": options.distillation,
        "temperature": options.temperature,
        "classes": model.source.num_classes,
        "adaptive": _needs_adaptive(model.module),
        "clip": CLIP,
        "clips": method["kind"] == "cluster",
        "seed": context.seed,
    }
    with process.work() as work, context.progress.task(title, options.epochs * epochs.steps) as advance:
        np.savez(work.folder / "weights.npz", **description.weights)  # type: ignore[arg-type]
        epochs.write(work.folder, 0)

        def told(said: Any) -> None:
            if "epoch" in said:
                epochs.write(work.folder, said["epoch"] + 1)
            if "loss" in said:
                advance(note=f"loss {said['loss']:.3f}")

        result = process.call(work, job, timeout_s=SILENCE_S, told=told)
        if not result["layers"]:
            raise RejectedError(result.get("why") or f"no layer can be pruned: {_reasons(result['without'])}")
        module = _with_weights(model.module, work.arrays("trained"))
    recalibrate(module, split, context.torch_device)
    return _outcome(module.eval(), description, result)


def _needs_adaptive(module: nn.Module) -> bool:
    """Whether so few convolutions have a batch norm that the recipes' rate, which is SGD's, would throw them off."""
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())
    convolutions = sum(isinstance(layer, nn.Conv2d) for layer in module.modules())
    return needs_adaptive(module) or norms < convolutions / 2


def _check_unshared(description: Description) -> None:
    """Raise `RejectedError` for weights that two operators have: their twins would part while they train."""
    used = Counter(name for operator in description.operators for name in operator["weights"].values())
    if shared := next((name for name, count in used.items() if count > 1), None):
        raise RejectedError(f"{shared} is used in two places, which TF-MOT would train apart")


def _with_weights(module: nn.Module, trained: dict[str, Any]) -> nn.Module:
    changed = copy.deepcopy(module)
    state = changed.state_dict()
    with torch.no_grad():
        for name, value in trained.items():
            state[name].copy_(torch.from_numpy(value))
    return changed


def _outcome(module: nn.Module, description: Description, result: dict[str, Any]) -> _Trained:
    layers = {
        operator["name"]: operator["weights"]["weight"].removesuffix(".weight")
        for operator in description.operators
        if "weight" in operator["weights"]
    }
    return _Trained(
        module,
        [layers[name] for name in result["layers"]],
        {layers[name]: why for name, why in result["without"].items()},
        result["loss"],
        result["versions"],
    )


def _reasons(without: dict[str, str]) -> str:
    return ", ".join(sorted(set(without.values())))
