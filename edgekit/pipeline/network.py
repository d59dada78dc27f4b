"""A zoo network as a `Model` with random weights, for what needs no training."""

from __future__ import annotations

import torch

from edgekit.data.folder import preprocessing_for
from edgekit.errors import unknown
from edgekit.model import Model, Source
from edgekit.zoo import build, catalogue


def zoo_model(
    name: str,
    *,
    input_size: int = 224,
    width: float = 1.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    seed: int = 0,
) -> Model:
    """The network of that name at (1, in_channels, input_size, input_size); raises `InputError` for unknown names."""
    known = {entry.name: entry for entry in catalogue()}
    if name not in known:
        raise unknown("model", name, known, hint="(or give the path of an artifact or a run)")
    torch.manual_seed(seed)
    source = Source(name=name, num_classes=num_classes, in_channels=in_channels, width=width)
    return Model(
        name=name,
        module=build(source).eval(),
        input_shape=(1, in_channels, input_size, input_size),
        task=known[name].task,
        preprocessing=preprocessing_for(input_size, in_channels),
        labels=(),
        source=source,
    )
