"""`prune`: one stage alone, on a network or a checkpoint, without data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from edgekit import files
from edgekit.checkpoint import STRUCTURE, save_model
from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph, Group
from edgekit.graph.cost import Cost, cost
from edgekit.model import Task
from edgekit.pipeline.loading import open_network
from edgekit.pipeline.pruning_svg import drawn
from edgekit.progress import Progress, Silent
from edgekit.recipe import allowed_macs
from edgekit.request import Size
from edgekit.stages.prune import Pruned
from edgekit.stages.prune import prune as prune_model
from edgekit.target import load_target

DRAWING = "channels.svg"


@dataclass(frozen=True)
class ChannelClass:
    """Layers whose channels move together: what the one loses, the others lose too."""

    layers: tuple[str, ...]
    """What makes these channels, or carries them (norms, depthwise convolutions), in the network's own names."""
    read_by: tuple[str, ...]
    channels: int
    left: int
    frozen: str
    """Why none of them may go, and where; or an empty text."""


@dataclass(frozen=True)
class PruningReport:
    """What pruning did; MACs are multiply-accumulates at `input_shape` (N, C, H, W)."""

    name: str
    input_shape: tuple[int, ...]
    macs_before: int
    macs_after: int
    macs_allowed: int
    params_before: int
    params_after: int
    channel_multiple: int
    masked_difference: float
    """Largest relative difference, in float64, from the masked original."""
    rewritten: str
    """Why the pruned network is an exported graph and no module of its class any more; else an empty text."""
    classes: tuple[ChannelClass, ...]

    def document(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return asdict(self)


def prune(
    model: str | Path,
    *,
    macs: float,
    target: str | None = None,
    weights: Path | str | None = None,
    input_size: Size | None = None,
    width: float = 1.0,
    factory_arg: Sequence[str] = (),
    task: Task | None = None,
    factory: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    svg: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> PruningReport:
    """Remove the least important channels of a network (as `compress` takes it), or of what a run left.

    The budget, `macs`, is up to 1 a share, above 1 a count; widths are multiples of what the target's kernels want.
    The pruned network is written into a new folder `out` as a checkpoint (`edgekit.load` reads it), with the
    drawing of what moves together as `channels.svg`; `svg` is a file for that drawing alone. Raises the
    errors of `edgekit.errors`; nothing is written then.
    """
    show, multiple = progress or Silent(), load_target(target).channel_multiple if target else 1
    if macs <= 0:
        raise InputError(
            f"--macs {macs:g} leaves nothing", hint="up to 1 a share of the MACs, above 1 a count"
        )
    if out is not None:
        files.check_new(out, force=force, mark=STRUCTURE)
    if svg is not None:
        files.check_new_file(svg, force=force)
    network = open_network(
        model,
        factory=factory,
        factory_arg=factory_arg,
        task=task,
        weights=weights,
        input_size=input_size,
        width=width,
        seed=seed,
    )
    before = cost(network.module, network.input_shape)
    allowed = allowed_macs(macs, before.macs)
    if before.macs <= allowed:
        raise InputError(f"nothing to remove: {before.macs:,} MACs are within {allowed:,} already")
    show.say(f"pruning {network.name} to {allowed:,} MACs")
    pruned = prune_model(network, macs=allowed, multiple=multiple)
    drawing = drawn(pruned) if out or svg else ""
    if out is not None:
        _save(pruned, drawing, out)
    if svg is not None:
        files.write_text(svg, drawing)
    return _report(pruned, before, allowed, multiple)


def _report(pruned: Pruned, before: Cost, allowed: int, multiple: int) -> PruningReport:
    after = cost(pruned.model.module, before.input_shape)
    return PruningReport(
        name=pruned.model.name,
        input_shape=before.input_shape,
        macs_before=before.macs,
        macs_after=after.macs,
        macs_allowed=allowed,
        params_before=before.params,
        params_after=after.params,
        channel_multiple=multiple,
        masked_difference=pruned.removal.difference,
        rewritten=pruned.removal.rewritten,
        classes=tuple(
            _class(pruned, group)
            for group in pruned.channels.groups
            if pruned.channels.touches_weights(group)
        ),
    )


def _save(pruned: Pruned, drawing: str, out: Path) -> None:
    if pruned.removal.rewritten:
        raise InputError(
            f"{pruned.model.name} was pruned as an exported graph, which a checkpoint cannot hold",
            hint=pruned.removal.rewritten,
        )
    with files.new_folder(out) as folder:
        save_model(pruned.model, folder)
        files.write_text(folder / DRAWING, drawing)


def _class(pruned: Pruned, group: Group) -> ChannelClass:
    readers = _readers(pruned.channels)
    removed = int(torch.isin(group.classes, pruned.removed).sum())
    return ChannelClass(
        layers=_layers(axis for axis in group.axes if axis not in readers),
        read_by=_layers(axis for axis in group.axes if axis in readers),
        channels=len(group.classes),
        left=len(group.classes) - removed,
        frozen=group.frozen,
    )


def _readers(channels: ChannelGraph) -> set[tuple[str, int]]:
    uses = (use for uses in channels.walk.uses.values() for use in uses)
    return {(use.parameter, use.axis) for use in uses if use.role == "input"}


def _layers(axes: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """The modules that hold these parameters, each once."""
    return tuple(dict.fromkeys(name.rpartition(".")[0] or name for name, _ in axes))
