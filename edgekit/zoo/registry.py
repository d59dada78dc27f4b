"""From a name to a network: families register plain builder functions and are found by themselves."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from edgekit.errors import InputError, unknown
from edgekit.model import Source, Task

if TYPE_CHECKING:
    from torch import nn


class Builder(Protocol):
    """Builds a network with fresh random weights (from torch's global generator), in training mode."""

    def __call__(self, *, num_classes: int, in_channels: int, width: float) -> nn.Module:
        """Images (N, in_channels, H, W) → logits (N, num_classes), for segmentation (N, num_classes, H, W)."""
        ...


MAX_WIDTH = 10.0
"""A width beyond this is a slip of the keyboard, and would fill the memory before it failed."""


@dataclass(frozen=True)
class About:
    """What the catalogue says of a network: the published one, which it counts."""

    family: str
    variant: str = ""
    """Which of its family it is, where there are several."""
    task: Task = "classification"
    num_classes: int = 1000
    input_size: int = 224
    least_input: int = 17
    """The least height and width: a smaller input is one pixel before the last stride (2⁴ + 1 for five strides
    of 2), or smaller than a pooling's window."""
    input_multiple: int = 1
    """What height and width of the input must be multiples of."""
    scalable: bool = False
    """Whether the builder heeds `width`."""
    accuracy: float | None = None
    """Top-1 (or IoU), in percent."""
    accuracy_source: str = ""


@dataclass(frozen=True)
class Network:
    """A registered builder."""

    name: str
    about: About
    builder: Builder
    rename: Callable[[str], str]
    """From a parameter's name in another public form of the weights to ours; others are left as they are."""
    variance_shift: float = 0.0
    """What that form's running variances get added, where its batch norms divide by sqrt(variance + another eps)."""


_NETWORKS: dict[str, Network] = {}


def network(
    name: str, about: About, *, rename: Callable[[str], str] = str, variance_shift: float = 0.0
) -> Callable[[Builder], Builder]:
    """Register the decorated builder under `name`; a name that is taken is refused (`ValueError`)."""

    def register(builder: Builder) -> Builder:
        if name in _NETWORKS:
            raise ValueError(f"two builders are registered as {name!r}")
        _NETWORKS[name] = Network(name, about, builder, rename, variance_shift)
        return builder

    return register


@cache
def networks() -> Mapping[str, Network]:
    """Every registered network by its name; imports all families, and so torch."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__, prefix=f"{__package__}."):
        importlib.import_module(module.name)
    return MappingProxyType(_NETWORKS)


def build(source: Source) -> nn.Module:
    """The network of that name with fresh random weights (seed torch for fixed ones), in training mode.

    Raises `InputError` for a name that is not in the zoo and for sizes that no network can have.
    """
    name, width = source.name, source.width
    found = networks().get(name)
    if found is None:
        raise unknown("model", name, networks())
    if source.num_classes < 1 or source.in_channels < 1:
        sizes = f"{source.num_classes} classes and {source.in_channels} input channels"
        raise InputError(f"{name} cannot have {sizes}", hint="both must be at least 1")
    if not 0 < width <= MAX_WIDTH:  # false for NaN too
        raise InputError(f"{name} cannot have the width {width}", hint=f"above 0, at most {MAX_WIDTH:g}")
    if width != 1 and not found.about.scalable:
        raise InputError(f"{name} has no width multiplier", hint="leave the width at 1")
    return found.builder(num_classes=source.num_classes, in_channels=source.in_channels, width=width)
