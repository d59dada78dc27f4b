"""The network that a command is given: what a run left in its folder, or one by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgekit.checkpoint import load_model
from edgekit.errors import InputError
from edgekit.model import Model, Task
from edgekit.pipeline.network import weighted_model
from edgekit.progress import Progress
from edgekit.request import Request, Size
from edgekit.zoo import architecture
from edgekit.zoo.factory import find_factory


def load(path: str | Path, *, factory: str | None = None) -> Model:
    """The network of a checkpoint folder, or the last kept one of a run's folder, as a `Model` in eval mode.

    A network of your own is rebuilt by calling `package.module:factory` with arguments that the folder names:
    give `factory` to say that you trust both. Raises `InputError` where there is none, and where that code was
    not named.
    """
    folder = Path(path)
    if factory is not None:
        find_factory(factory)
    steps = sorted(folder.glob("checkpoints/*/structure.json"))
    return load_model(steps[-1].parent if steps else folder)


def open_network(
    model: str | Path,
    *,
    factory: str | None,
    factory_arg: Sequence[str],
    task: Task | None,
    weights: Path | str | None,
    input_size: Size | None,
    width: float,
    seed: int = 0,
) -> Model:
    """`load` of a folder; else a network as `compress` takes it, with a file's weights or random ones.

    Raises `InputError` for names, sizes, widths and weights that do not fit, and for what describes a network where a
    folder holds one.
    """
    if Path(model).is_dir():
        refuse_description(
            model, weights=weights, input_size=input_size, width=width, factory_arg=factory_arg, task=task
        )
        return load(model, factory=factory)
    found = architecture(str(model), factory_arg, task)
    return weighted_model(found, weights, input_size, width, seed=seed)


def refuse_description(
    model: str | Path,
    *,
    weights: Path | str | None,
    input_size: Size | None,
    width: float,
    factory_arg: Sequence[str],
    task: Task | None,
) -> None:
    """Raise `InputError` for an option that describes a network, where a folder holds one."""
    described = {
        "--weights": weights is not None,
        "--input-size": input_size is not None,
        "--width": width != Request.width,
        "--factory-arg": bool(factory_arg),
        "--task": task is not None,
    }
    wrong = next((option for option, is_given in described.items() if is_given), None)
    if wrong and Path(model).is_dir():
        raise InputError(
            f"{wrong} with {model}: its network is taken as it was left", hint=f"leave {wrong} out"
        )


def in_float(network: Model, progress: Progress) -> Model:
    """Without its INT8 scales, which is said: they were found for the channels that it has, and its rules."""
    if network.quantization is None:
        return network
    progress.say(f"{network.name} is INT8: its float weights are taken, and its scales are dropped")
    return replace(network, quantization=None)
