"""Networks of installed libraries by their own names: `timm:NAME`, `torchvision:NAME`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError, unknown
from edgekit.optional import load
from edgekit.user_code import described

if TYPE_CHECKING:
    from torch import nn

LIBRARIES = ("timm", "torchvision")
_REFUSED = ("pretrained", "weights", "weights_backbone", "checkpoint_path")


def find_library_network(name: str, arguments: Mapping[str, Any]) -> str:
    """The version of the library that has the network `timm:NAME` or `torchvision:NAME`.

    Raises `MissingError` where the library is not installed, `InputError` for a name that it does not have and
    for arguments that would fetch or read weights.
    """
    library, _, network = name.partition(":")
    known = _names(library)
    if network not in known:
        raise unknown(f"{library} network", network, known)
    for argument in _REFUSED:
        if argument in arguments:
            raise InputError(
                f"{name} takes no {argument} here", hint="give weights with --weights FILE or hf:REPO"
            )
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:  # a checkout on the path
        return "unknown"


def build_library_network(
    name: str, arguments: Mapping[str, Any], *, num_classes: int, in_channels: int
) -> nn.Module:
    """The network with fresh random weights; nothing is fetched. Raises as `find_library_network` does."""
    find_library_network(name, arguments)
    library, _, network = name.partition(":")
    package = load("timm" if library == "timm" else "torchvision.models", extra=library)
    try:
        if library == "timm":
            given: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels} | dict(arguments)
            made: nn.Module = package.create_model(network, pretrained=False, **given)
        else:
            builder = package.get_model_builder(network)
            fetched = inspect.signature(builder).parameters.keys() & _REFUSED  # a backbone's are by default
            given = {"num_classes": num_classes} | dict(arguments) | dict.fromkeys(fetched)
            made = builder(**given)
    except Exception as error:  # libraries raise what they like for arguments that do not fit
        raise InputError(f"{name} failed: {described(error)}") from error
    return made


def _names(library: str) -> list[str]:
    if library == "timm":
        return list(load("timm", extra="timm").list_models())
    return list(load("torchvision.models", extra="torchvision").list_models())
