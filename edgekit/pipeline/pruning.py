"""`prune`: one stage alone, on a network or a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from edgekit import files
from edgekit.checkpoint import STRUCTURE, save_model
from edgekit.data import load_data
from edgekit.errors import InputError
from edgekit.exporters import export
from edgekit.graph.channels import ChannelGraph, Group, channel_graph
from edgekit.graph.cost import Cost, cost, cost_of_graph
from edgekit.graph.counters import said
from edgekit.graph.trace import trace
from edgekit.model import Model, Task
from edgekit.pipeline.loading import in_float, open_network
from edgekit.pipeline.pruning_svg import drawn
from edgekit.progress import Progress, Silent
from edgekit.recipe import LOOK_AT_PICTURES, PruneOptions, Resource, allowance
from edgekit.request import Size
from edgekit.stages.evidence import ranking_of
from edgekit.stages.pruning import Pruned, Ranking, figures, kept_already
from edgekit.stages.pruning import prune as prune_model
from edgekit.target import Target, load_target

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
class Spent:
    """One budget: what the network cost, what it costs now, and what it may."""

    before: int
    after: int
    allowed: int


@dataclass(frozen=True)
class PruningReport:
    """What pruning did; MACs are multiply-accumulates at `input_shape` (N, C, H, W)."""

    name: str
    input_shape: tuple[int, ...]
    macs_before: int
    macs_after: int
    macs_allowed: int | None
    """None where other budgets were given."""
    params_before: int
    params_after: int
    budgets: Mapping[Resource, Spent]
    criterion: str
    scope: str
    channel_multiple: int
    """What widths are multiples of: of what was wanted where the budgets can be reached so, else of less."""
    channel_multiple_wanted: int
    """What the target's kernels want."""
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
    options: PruneOptions,
    target: str | None = None,
    data: Path | None = None,
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

    Budgets are shares of the network's own figures or counts; widths are multiples of what the target's kernels
    want. The pruned network is written into a new folder `out` as a checkpoint (`edgekit.load` reads it), with the
    drawing of what moves together as `channels.svg`; `svg` is a file for that drawing alone. Raises
    the errors of `edgekit.errors`; nothing is written then.
    """
    show, goal = progress or Silent(), load_target(target) if target else None
    _check(options, goal, data)
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
    pruned, report = _pruned(in_float(network, show), options, goal, data, show)
    drawing = drawn(pruned) if out or svg else ""
    if out is not None:
        _save(pruned, drawing, out)
    if svg is not None:
        files.write_text(svg, drawing)
    return report


def _pruned(
    network: Model, options: PruneOptions, goal: Target | None, data: Path | None, show: Progress
) -> tuple[Pruned, PruningReport]:
    graph = trace(network.module, network.input_shape)
    before, channels = cost_of_graph(graph, network.module, network.input_shape), channel_graph(graph)
    file_bytes = _file_bytes(goal) if goal is not None and options.size is not None else None
    start = figures(before) | ({"size": file_bytes(network)} if file_bytes else {})
    allowed = _allowed(options, start)
    show.say(f"pruning {network.name} to {', '.join(said(name, most) for name, most in allowed.items())}")
    multiple, ranking = goal.channel_multiple if goal else 1, _ranking(options, network, data, show)
    pruned = prune_model(
        network,
        allowed=allowed,
        multiple=multiple,
        ranking=ranking,
        channels=channels,
        file_bytes=file_bytes,
    )
    after = cost(pruned.model.module, before.input_shape)
    left = figures(after) | ({"size": file_bytes(pruned.model)} if file_bytes else {})
    spent = {name: Spent(start[name], left[name], most) for name, most in allowed.items()}
    return pruned, _report(
        pruned, before=before, after=after, spent=spent, options=options, multiple=multiple
    )


def _allowed(options: PruneOptions, start: Mapping[Resource, int]) -> dict[Resource, int]:
    """The budgets as counts; raises `InputError` where all are kept already."""
    allowed = {name: allowance(limit, start[name]) for name, limit in options.budgets.items()}
    if kept := kept_already(start, allowed):
        raise InputError(kept)
    return allowed


def _check(options: PruneOptions, goal: Target | None, data: Path | None) -> None:
    """Raise `InputError` for options that do not go together, before anything costs time."""
    if options.size is not None and goal is None:
        raise InputError(
            "--size is that of the file, and no target says which file it is", hint="give --target"
        )
    if options.criterion in LOOK_AT_PICTURES and data is None:
        raise InputError(
            f"the criterion {options.criterion} looks at pictures, and there are none",
            hint="give --data DIR (or digits), or choose --criterion l2, which looks at weights alone",
        )
    if options.criterion not in LOOK_AT_PICTURES and data is not None:
        raise InputError(
            f"the criterion {options.criterion} looks at no pictures, and --data gives some",
            hint="choose --criterion taylor or reconstruction, or leave --data out",
        )


def _ranking(options: PruneOptions, network: Model, data: Path | None, progress: Progress) -> Ranking:
    pictures = None
    if options.criterion in LOOK_AT_PICTURES:
        pictures = load_data(data, task=network.task, preprocessing=network.preprocessing, progress=progress)
        if network.labels and pictures.labels and pictures.labels != network.labels:
            raise InputError(f"{data} has other classes than {network.name}", hint="give the data it learned")
        outputs = network.source.num_classes
        if options.criterion == "taylor" and pictures.labels and len(pictures.labels) != outputs:
            raise InputError(
                f"{data} has {len(pictures.labels)} classes, and {network.name} has {outputs} outputs",
                hint="give the data it learned, or choose --criterion reconstruction, which looks at no classes",
            )
    return ranking_of(options, pictures, network.task)


def _file_bytes(goal: Target) -> Callable[[Model], int]:
    """The size of the float file that the target's exporter makes."""

    @cache
    def made(network: Model) -> int:
        known = np.zeros(network.input_shape, dtype=np.float32)
        with TemporaryDirectory() as folder:
            return export(network, goal, Path(folder), known).size_bytes

    return made


def _report(
    pruned: Pruned,
    *,
    before: Cost,
    after: Cost,
    spent: Mapping[Resource, Spent],
    options: PruneOptions,
    multiple: int,
) -> PruningReport:
    return PruningReport(
        name=pruned.model.name,
        input_shape=before.input_shape,
        macs_before=before.macs,
        macs_after=after.macs,
        macs_allowed=spent["macs"].allowed if "macs" in spent else None,
        params_before=before.params,
        params_after=after.params,
        budgets=spent,
        criterion=options.criterion,
        scope=options.scope,
        channel_multiple=pruned.choice.multiple,
        channel_multiple_wanted=multiple,
        masked_difference=pruned.removal.difference,
        rewritten=pruned.removal.rewritten,
        classes=tuple(
            _class(pruned, group)
            for group in pruned.channels.groups
            if pruned.channels.touches_weights(group)
        ),
    )


def _save(pruned: Pruned, drawing: str, out: Path) -> None:
    if pruned.unkept:
        raise InputError(
            f"{pruned.model.name} was pruned as an exported graph, which a checkpoint cannot hold",
            hint=pruned.unkept,
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
