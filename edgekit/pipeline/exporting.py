"""`export`: the file alone, of a zoo network or of what a run left, for any target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekit import files
from edgekit.artifact import MANIFEST, ArtifactFolder, load_artifact
from edgekit.bundle.manifest import is_bundle
from edgekit.errors import InputError
from edgekit.exporters import export as write
from edgekit.model import Model
from edgekit.progress import Progress, Silent
from edgekit.target import load_target


def export(
    network: Callable[[], Model],
    *,
    target: str,
    out: Path,
    force: bool = False,
    progress: Progress | None = None,
) -> ArtifactFolder:
    """Write the artifact of the network that `network()` opens for a target, into a new `out`.

    It is opened once it is known that `out` can be written. A quantized network keeps the INT8 rules that it was
    calibrated for: exporting it for a target with others raises `InputError`, as does a network in float, or with
    operators in float, for a target that takes integers alone, and an `out` that exists or holds a bundle.
    """
    goal, show = load_target(target), progress or Silent()
    if is_bundle(out):
        raise InputError(f"{out} holds a bundle, whose zip would stay beside it", hint="give another --out")
    files.check_new(out, force=force, mark=MANIFEST)
    opened = network()
    if opened.quantization and opened.quantization.rules != goal.int8:
        raise InputError(
            f"{opened.name} was quantized by other INT8 rules than {goal.id}'s",
            hint=f"edgekit compress {opened.source.name} --target {goal.id}",
        )
    if opened.quantization and opened.quantization.float_operators and goal.integer_only:
        raise InputError(
            f"{opened.name} computes some operators in float, and {goal.id} integers alone",
            hint=f"edgekit compress {opened.source.name} --target {goal.id}",
        )
    if opened.quantization is None and goal.integer_only:
        raise InputError(
            f"{goal.id} takes INT8 files alone, and {opened.name} is not quantized",
            hint=f"edgekit compress {opened.source.name} --target {goal.id}, then export that run",
        )
    show.say(f"exporting {opened.name} to {goal.format}")
    known = np.random.default_rng(0).standard_normal((4, *opened.input_shape[1:])).astype(np.float32)
    with files.new_folder(out) as temporary:
        write(opened, goal, temporary, known)
    return load_artifact(out)
