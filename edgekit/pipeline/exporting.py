"""`export`: the file alone, of a zoo network or of what a run left, for any target."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgekit import files
from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.checkpoint import load_model
from edgekit.errors import InputError
from edgekit.exporters import export as write
from edgekit.model import Model
from edgekit.pipeline.network import zoo_model
from edgekit.progress import Progress, Silent
from edgekit.target import load_target
from edgekit.zoo.weights import load_weights


def load(path: str | Path) -> Model:
    """The network of a checkpoint folder, or the last kept one of a run's folder, as a `Model` in eval mode.

    Raises `InputError` where there is none.
    """
    folder = Path(path)
    steps = sorted(folder.glob("checkpoints/*/structure.json"))
    return load_model(steps[-1].parent if steps else folder)


def export(
    model: str | Path,
    *,
    target: str,
    out: Path,
    weights: Path | None = None,
    input_size: int = 224,
    width: float = 1.0,
    force: bool = False,
    progress: Progress | None = None,
) -> ArtifactFolder:
    """Write the artifact of a zoo name or a run's folder for a target, into a new folder `out`.

    A quantized network keeps the INT8 rules that it was calibrated for: exporting it for a target with others
    raises `InputError`, as do weights that do not fit and an `out` that exists.
    """
    goal, show = load_target(target), progress or Silent()
    if out.exists() and not force:
        raise InputError(f"{out} exists already", hint="--force replaces it")
    network = load(model) if Path(model).exists() else _from_zoo(str(model), weights, input_size, width)
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


def _from_zoo(name: str, weights: Path | None, input_size: int, width: float) -> Model:
    network = zoo_model(name, input_size=input_size, width=width)
    if weights is None:
        return network
    info = load_weights(network.module, weights, network.source)
    if info.head_replaced:
        network = zoo_model(name, input_size=input_size, width=width, num_classes=info.head_classes)
        load_weights(network.module, weights, network.source)
    return network
