"""Weights that users already have, put into a network."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.model import Source
from edgekit.zoo.registry import build, networks
from edgekit.zoo.weights_file import read_weights

SHOWN = 4
"""How many keys of each kind an error names."""
OTHER_NETWORK = "another network, or the same one at another width, was saved there"


@dataclass(frozen=True)
class WeightsInfo:
    """What was found in a weights file and what became of it."""

    entry: str
    """Where in the file the weights lay: `state_dict`, `model_ema`, …; empty for a bare file."""
    head_classes: int
    """The number of classes that the file's head has."""
    head_replaced: bool
    """The file's head has another size: the network keeps its own, which is untrained."""


def load_weights(module: nn.Module, path: Path, source: Source) -> WeightsInfo:
    """Load a weights file (.pth, .pt, .safetensors) into `module`, the network that `build(source)` gave.

    Keys may be torchvision's or any other form that the network's family knows, wrapped and prefixed as
    training scripts do. Nothing is loaded unless everything fits, but for a head of another size.
    Raises `InputError` for a file that cannot be read and for weights that do not fit.
    """
    expected = module.state_dict()
    entry, found = read_weights(path)
    fitted = {
        key: _of_rank(value, expected[key]) if key in expected else value
        for key, value in _named(found, expected, source).items()
    }
    head = _head(module)
    replaced = bool(head) and (classes := _head_classes(fitted, expected, head)) != expected[head[0]].shape[0]
    fitted |= {key: expected[key] for key in head if replaced}
    for key in expected.keys() - fitted.keys():  # counters that files from before they existed lack
        if key.endswith(".num_batches_tracked"):
            fitted[key] = expected[key]
    _check(fitted, expected, path, source)
    module.load_state_dict(fitted)
    return WeightsInfo(entry, classes if replaced else source.num_classes, replaced)


def _named(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    """Under the network's own names: a prefix that all keys share is taken off, other forms are renamed."""
    known = networks().get(source.name)
    rename, shift = (str, 0.0) if known is None else (known.rename, known.variance_shift)
    keys = [key.split(".") for key in found if key != "n_averaged"]  # AveragedModel's counter
    shared = len(list(takewhile(lambda parts: len(set(parts)) == 1, zip(*keys, strict=False))))
    forms = []
    for skip in range(shared + 1):
        names = {".".join(key): ".".join(key[skip:]) for key in keys}
        form = {rename(name): found[key] for key, name in names.items()}
        theirs = {rename(name) for name in names.values()} - set(names.values())
        forms.append(form | {key: form[key] + shift for key in theirs if key.endswith(".running_var")})
    return max(forms, key=lambda form: len(form.keys() & expected.keys()))


def _of_rank(value: Tensor, expected: Tensor) -> Tensor:
    """Without trailing axes of size 1, or with them, as `expected` has: a 1×1 convolution is a linear layer."""
    shape, rank = value.shape, expected.dim()
    if any(size != 1 for size in (*shape[rank:], *expected.shape[len(shape) :])):
        return value
    return value.reshape((*shape[:rank], *expected.shape[len(shape) :]))


def _head(module: nn.Module) -> list[str]:
    """The keys of the last layer that has weights: the one that has an output for each class."""
    layers = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    if not layers:  # a graph, whose layers are operators
        return []
    return [f"{layers[-1]}.{name}" for name, _ in module.get_submodule(layers[-1]).named_parameters()]


def _head_classes(fitted: Mapping[str, Tensor], expected: Mapping[str, Tensor], head: list[str]) -> int:
    """The file's number of classes; the network's own where more than that number differs."""
    own = expected[head[0]].shape[0]
    if any(key not in fitted or fitted[key].shape[1:] != expected[key].shape[1:] for key in head):
        return own
    sizes = {fitted[key].shape[:1] for key in head}
    return next(iter(sizes))[0] if len(sizes) == 1 else own


def _check(fitted: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path, source: Source) -> None:
    missing = [key for key in expected if key not in fitted]
    unexpected = [key for key in fitted if key not in expected]
    misshapen = [key for key in expected if key in fitted and fitted[key].shape != expected[key].shape]
    told = (
        _told("missing", missing, lambda key: f"{key} {_shape(expected[key])}{_near(key, unexpected)}")
        + _told("unexpected", unexpected, lambda key: f"{key} {_shape(fitted[key])}")
        + _told(
            "misshapen", misshapen, lambda key: f"{key} {_shape(fitted[key])}, needs {_shape(expected[key])}"
        )
    )
    if told:
        network = f"{source.name} (width {source.width:g}, {source.in_channels} input channels)"
        fitting = _fitting(fitted, source)
        hint = f"they are those of {' or '.join(fitting)}" if fitting else OTHER_NETWORK
        raise InputError(f"the weights in {path} do not fit {network}{told}", hint=hint)
    broken = [key for key, value in fitted.items() if not torch.isfinite(value).all()]
    if broken:
        raise InputError(f"the weights in {path} are not finite: {', '.join(broken[:SHOWN])}")


def _fitting(fitted: Mapping[str, Tensor], source: Source) -> list[str]:
    """The networks of the same family that the weights' sizes are those of: names changed since some were saved."""
    own, found = networks().get(source.name), []
    for name, other in networks().items():
        if own is None or other is own or other.about.family != own.about.family:
            continue
        with torch.device("meta"):
            sizes = {
                key: value.shape
                for key, value in build(source.model_copy(update={"name": name})).state_dict().items()
            }
        if sizes == {key: value.shape for key, value in fitted.items()}:
            found.append(name)
    return found


def _told(kind: str, keys: list[str], tell: Callable[[str], str]) -> str:
    """A line for each of the first keys of a kind, and how many there are in all."""
    shown = "".join(f"\n    {tell(key)}" for key in keys[:SHOWN])
    more = f"\n    and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"\n  {kind}:{shown}{more}" if keys else ""


def _shape(value: Tensor) -> str:
    return f"({', '.join(str(size) for size in value.shape)})"


def _near(key: str, names: list[str]) -> str:
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.8)
    return f", perhaps {near[0]} in the file" if near else ""
