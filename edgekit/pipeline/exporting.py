"""`export`: the file alone, of a zoo network or of what a run left, for any target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit import files
from edgekit.artifact import MANIFEST, ArtifactFolder, load_artifact
from edgekit.errors import InputError
from edgekit.exporters import export as write
from edgekit.model import Task
from edgekit.pipeline.loading import open_network
from edgekit.progress import Progress, Silent
from edgekit.request import Size
from edgekit.target import load_target


def export(
    model: str | Path,
    *,
    target: str,
    out: Path,
    weights: Path | str | None = None,
    input_size: Size | None = None,
    width: float = 1.0,
    factory_arg: Sequence[str] = (),
    task: Task | None = None,
    factory: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ArtifactFolder:
    """Write the artifact of a network (as `compress` takes it) or a run's folder for a target, into a new `out`.

    A quantized network keeps the INT8 rules that it was calibrated for: exporting it for a target with others
    raises `InputError`, as do weights that do not fit and an `out` that exists.
    """
    goal, show = load_target(target), progress or Silent()
    files.check_new(out, force=force, mark=MANIFEST)
    network = open_network(
        model,
        factory=factory,
        factory_arg=factory_arg,
        task=task,
        weights=weights,
        input_size=input_size,
        width=width,
    )
    if network.quantization and network.quantization.rules != goal.int8:
        raise InputError(
            f"{model} was quantized by other INT8 rules than {goal.id}'s",
            hint=f"edgekit compress {network.source.name} --target {goal.id}",
        )
    show.say(f"exporting {network.name} to {goal.format}")
    known = np.random.default_rng(0).standard_normal((4, *network.input_shape[1:])).astype(np.float32)
    with files.new_folder(out) as temporary:
        write(network, goal, temporary, known)
    return load_artifact(out)
