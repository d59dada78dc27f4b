"""What zeros could gain on a target, layer by layer, before anything is trained; and those that a file holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from edgekit.artifact import load_artifact
from edgekit.errors import InputError
from edgekit.exporters import weights_in
from edgekit.graph.cost import Cost, cost_of_graph
from edgekit.graph.layer import PRECISIONS, Layer
from edgekit.graph.roofline import roofline
from edgekit.graph.trace import trace
from edgekit.model import Model
from edgekit.patterns import Pattern, density, pattern_of
from edgekit.stages.sparsify import obstacle, weighted_layers
from edgekit.target import SparsitySupport, Target

KNOWN = ("2:4", "1:4", "4:8", "kernel-4", "block-4x1@25%", "block-4x4@25%")
"""What a file's weights are held to where nobody says what they should hold; blocks from a quarter on."""


@dataclass(frozen=True)
class Prospect:
    """One layer with weights; times are estimates by the roofline, in milliseconds, None where it tells nothing."""

    layer: str
    shape: str
    obstacle: str
    """Why zeros cannot make it faster, or an empty text."""
    dense_ms: float | None = None
    sparse_ms: float | None = None
    """At best: no cost for indices, all zeros skipped."""


@dataclass(frozen=True)
class Prospects:
    """What a pattern could gain on a target at a precision; the note says whose word that is."""

    name: str
    target: str
    pattern: str
    precision: str
    note: str
    layers: tuple[Prospect, ...]
    dense_ms: float | None
    sparse_ms: float | None
    """Of the whole network, one layer after the other."""

    @property
    def reasons(self) -> Counter[str]:
        """How many layers cannot gain, by the reason."""
        return Counter(each.obstacle for each in self.layers if each.obstacle)

    def document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        able = len(self.layers) - self.reasons.total()
        others = ", ".join(f"{count} × {reason}" for reason, count in self.reasons.most_common(3))
        gain = ""
        if able and self.dense_ms and self.sparse_ms:
            gain = f", at best {self.dense_ms / self.sparse_ms:.2f}× (roofline, an estimate)"
        return (
            f"{self.pattern} in {self.precision}: {able} of {len(self.layers)} layers can gain speed{gain}"
            f"{f'; not: {others}' if others else ''}"
        )


def prospects(model: Model, target: Target, pattern: str, precision: str) -> Prospects:
    """Every layer with weights: whether zeros of that pattern could make it faster on the target, and by how much.

    `pattern` `target` is the target's own; raises `InputError` where it has none, and for a precision that it has not.
    """
    if precision not in target.precisions:
        raise InputError(
            f"{target.id} computes nothing in {precision}", hint=f"it has: {', '.join(target.precisions)}"
        )
    support, text = _support(target, pattern)
    graph = trace(model.module, model.input_shape)
    width = next(width for width, name in PRECISIONS.items() if name == precision)
    dense = cost_of_graph(graph, model.module, model.input_shape, weight_bytes=width, activation_bytes=width)
    whys = _obstacles(model.module, target, support, text, precision)
    able = {layer for layer, why in whys.items() if not why}
    sparse = replace(dense, layers=tuple(_lighter(layer, able, support, text) for layer in dense.layers))
    floors = [_floors(spent, target) for spent in (dense, sparse)]
    shapes = {layer.name: _shape(layer) for layer in dense.layers}
    return Prospects(
        name=model.name,
        target=target.id,
        pattern=text,
        precision=precision,
        note=support.note if support else "",
        layers=tuple(
            Prospect(layer, shapes.get(layer, ""), why, floors[0].get(layer), floors[1].get(layer))
            for layer, why in whys.items()
        ),
        dense_ms=sum(floors[0].values()) or None,
        sparse_ms=sum(floors[1].values()) or None,
    )


def _support(target: Target, pattern: str) -> tuple[SparsitySupport | None, str]:
    if pattern != "target":
        text = _read(pattern).text
        return next((each for each in target.sparsity if each.covers(text)), None), text
    if not target.sparsity:
        raise InputError(
            f"{target.id} exploits no sparsity pattern{f': {target.dense_because}' if target.dense_because else ''}",
            hint="name one (--pattern 2:4) to see what it would ask of the layers",
        )
    return target.sparsity[0], target.sparsity[0].pattern


def _read(pattern: str) -> Pattern:
    """The pattern of a command line; raises `InputError` where there is none."""
    try:
        return pattern_of(pattern)
    except ValueError as error:
        raise InputError(str(error)) from error


def _obstacles(
    module: nn.Module, target: Target, support: SparsitySupport | None, pattern: str, precision: str
) -> dict[str, str]:
    weighted = weighted_layers(module)
    if support is None:
        return dict.fromkeys(
            weighted, target.dense_because or f"no kernels for {pattern} are known in {target.runtime}"
        )
    if precision not in support.precisions:
        return dict.fromkeys(weighted, f"{precision} kernels have no sparse path")
    asked = support.model_copy(update={"pattern": pattern})
    return {name: obstacle(layer, asked) for name, layer in weighted.items()}


def _lighter(layer: Layer, able: set[str], support: SparsitySupport | None, pattern: str) -> Layer:
    """What is left to do where every zero is skipped, and no index has to be read."""
    if support is None or layer.name not in able:
        return layer
    zeros = pattern_of(pattern).sparsity
    return replace(
        layer,
        macs=round(layer.macs / (support.rate or 1 / (1 - zeros))),
        memory_access_bytes=round(layer.memory_access_bytes - zeros * layer.weight_bytes),
    )


def _floors(spent: Cost, target: Target) -> dict[str, float]:
    found = roofline(spent, target)
    return {} if found is None else {floor.name: floor.floor_ms for floor in found.layers}


def _shape(layer: Layer) -> str:
    if layer.weights is None:
        return ""
    kernel = "×".join(map(str, layer.weights.kernel))
    return f"{layer.weights.input_channels} → {layer.weights.output_channels}, {kernel}"


@dataclass(frozen=True)
class Held:
    """The zeros of one layer in a file."""

    layer: str
    weights: int
    density: float
    """The share of non-zeros."""
    patterns: tuple[str, ...]
    """Those that its weights keep to, of those asked for or known."""


def zeros_in(path: Path, pattern: str | None) -> tuple[Held, ...]:
    """The layers of an artifact's file, its density and the patterns that each holds; raises `InputError` as others."""
    known = {text: _read(text) for text in (KNOWN if pattern is None else (pattern,))}
    return tuple(
        Held(
            layer,
            int(stored.size),
            density(stored),
            tuple(
                text
                for text, each in known.items()
                if not each.obstacle(stored.shape, 1) and each.holds(stored)
            ),
        )
        for layer, stored in weights_in(load_artifact(path)).items()
    )
