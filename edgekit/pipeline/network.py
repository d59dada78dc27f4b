"""A network as a `Model`: with random weights, or with those of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.data.folder import INPUT_SIZE, preprocessing_for
from edgekit.errors import InputError
from edgekit.model import Model, Preprocessing
from edgekit.request import Size, height_width
from edgekit.user_code import described
from edgekit.zoo import Architecture, build, check_input
from edgekit.zoo.hub import WeightsFile, weights_file
from edgekit.zoo.weights import WeightsInfo, load_weights

RANK = {"classification": 2, "segmentation": 4}
"""The number of axes of what a network of each task gives."""


def new_model(
    found: Architecture,
    preprocessing: Preprocessing,
    *,
    num_classes: int | None = None,
    labels: tuple[str, ...] = (),
    width: float = 1.0,
    seed: int = 0,
    batch: int = 1,
    tried: int = 1,
) -> Model:
    """The network at (batch, C, H, W) of its preprocessing, in eval mode; a `.pt2` file's brings its own weights.

    It has its published number of classes if not said. A network of the user's is run once on `tried`
    pictures, and its classes are counted where none are asked for. Raises `InputError` for a size that it cannot
    take, and where it fails, does not give (N, classes) or for segmentation (N, classes, H, W), or has other
    classes.
    """
    size = (preprocessing.channels, preprocessing.height, preprocessing.width)
    _check_input(found, size)
    torch.manual_seed(seed)
    source = found.source(
        num_classes=num_classes or found.num_classes, in_channels=preprocessing.channels, width=width
    )
    module = build(source).eval()
    if found.own:
        classes = _classes(found, module, (tried, *size))
        if num_classes not in (None, classes):
            raise InputError(
                f"{found.origin} has {classes} classes, and {num_classes} are needed",
                hint="give its factory an argument num_classes, or set its own with --factory-arg",
            )
        source = source.model_copy(update={"num_classes": classes})
    return Model(
        name=found.name,
        module=module,
        input_shape=(batch, *size),
        task=found.task,
        preprocessing=preprocessing,
        labels=labels,
        source=source,
    )


def preprocessing_of(found: Architecture, input_size: Size | None) -> Preprocessing:
    """ImageNet's, at the size that was asked for: by default the network's own, or 224.

    Raises `InputError` for a size that the network cannot take.
    """
    own = INPUT_SIZE if found.size is None else found.size
    size = height_width(own if input_size is None else input_size)
    _check_input(found, (found.channels, *size))
    if found.pixels is not None:
        mean, std = ((value,) * found.channels for value in found.pixels)
        return Preprocessing(height=size[0], width=size[1], mean=mean, std=std)
    return preprocessing_for(size, found.channels)


def with_weights(
    make: Callable[[int | None], Model], weights: WeightsFile, *, file_sizes_head: bool
) -> tuple[Model, WeightsInfo]:
    """The network that `make` gives for a number of classes (None: its own choice), with a file's weights.

    `file_sizes_head`: where no data says how many classes there are, the file's head does. Raises `InputError`
    for weights that do not fit.
    """
    model = make(None)
    info = load_weights(model.module, weights.path, model.source)
    if info.head_replaced and file_sizes_head:
        model = make(info.head_classes)
        info = load_weights(model.module, weights.path, model.source)
    return model, info


def _check_input(found: Architecture, size: tuple[int, int, int]) -> None:
    if found.published is not None:
        check_input(found.published, *size[1:])
    fixed = found.input_shape
    if fixed is not None and fixed != size:
        own, other = ("×".join(map(str, shape)) for shape in (fixed, size))
        raise InputError(
            f"{found.origin} was exported for pictures of {own} (C×H×W), not {other}",
            hint="leave --input-size out, or export the network at that size",
        )


def _classes(found: Architecture, module: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """The classes that a network of the user's has: it is run once."""
    try:
        with torch.no_grad():
            given = module(torch.zeros(shape))
    except Exception as error:  # whatever a user's own code raises
        alone = "; a .pt2 file for any batch is exported with dynamic_shapes" if found.program else ""
        raise InputError(
            f"{found.origin} failed on an input of {shape}: {described(error)}",
            hint=f"it must take float32 (N, C, H, W) for any N{alone}",
        ) from error
    rank = RANK[found.task]
    wanted = (shape[0], "classes", *shape[2:rank])
    fits = isinstance(given, Tensor) and given.dim() == rank
    if not fits or (given.shape[0], "classes", *given.shape[2:]) != wanted:
        shown = tuple(given.shape) if isinstance(given, Tensor) else f"a value of type {type(given).__name__}"
        raise InputError(
            f"{found.origin} gives {shown} for an input of {shape}, not ({', '.join(map(str, wanted))})",
            hint=f"for {found.task} return the logits alone, as one tensor"
            + (" (--task segmentation for masks)" if rank == 2 else " as large as the pictures"),
        )
    return int(given.shape[1])


def weighted_model(
    found: Architecture, weights: Path | str | None, input_size: Size | None, width: float, *, seed: int = 0
) -> Model:
    """The network at that size with random weights, or with a file's (whose head then decides on the classes).

    Raises `InputError` for sizes and widths that it cannot take, and for weights that do not fit.
    """

    def make(classes: int | None = None) -> Model:
        return new_model(
            found, preprocessing_of(found, input_size), num_classes=classes, width=width, seed=seed
        )

    if weights is None and found.weights is not None:
        return with_weights(make, WeightsFile(found.weights, found.origin), file_sizes_head=True)[0]
    return make() if weights is None else with_weights(make, weights_file(weights), file_sizes_head=True)[0]
