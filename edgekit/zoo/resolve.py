"""What MODEL means wherever it is given: a zoo name, a user's own factory, a library's network, a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.errors import InputError, unknown
from edgekit.model import Source, Task
from edgekit.request import Size
from edgekit.zoo import factory, keras, libraries, program, registry
from edgekit.zoo.entries import Entry, catalogue
from edgekit.zoo.program_file import vet_program

if TYPE_CHECKING:
    from torch import nn

FORMS: Final = (
    "or package.module:factory, keras:package.module:function, timm:NAME, torchvision:NAME, "
    "a .pt2 file, a .keras file"
)
CLASSES: Final[Mapping[Task, int]] = {"classification": 1000, "segmentation": 1}
NETWORK_FILES: Final = (program.SUFFIX, keras.SUFFIX)
WEIGHTS_FILES: Final = (".pt", ".pth", ".bin", ".safetensors", ".ckpt")


@dataclass(frozen=True)
class Architecture:
    """What MODEL names, before it is built."""

    name: str
    """Fit for a folder's name."""
    family: str
    task: Task
    origin: str
    """`Source.name`."""
    identity: object
    """All that decides what is built, but for what `source` takes."""
    published: Entry | None = None
    """What the zoo says of it."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    program: str | None = None
    """The SHA-256 of a `.pt2` file, which brings its weights, its classes and its input."""
    input_shape: tuple[int, int, int] | None = None
    """(C, H, W) where only that is taken."""
    network: tuple[Mapping[str, Any], ...] | None = None
    """A Keras network's operators."""
    weights: Path | None = None
    """A Keras file's own."""
    pixels: tuple[float, float] | None = None
    """Mean and deviation by which it takes pixels, in [0, 1] before; None: ImageNet's."""

    @property
    def own(self) -> bool:
        """Not of the zoo: nothing is known of it before it has run."""
        return self.published is None

    @property
    def trained(self) -> bool:
        """Whether it comes with its weights."""
        return self.program is not None or self.weights is not None

    @property
    def num_classes(self) -> int:
        """As published; else, where nothing says how many and it takes any, ImageNet's, or one mask."""
        return CLASSES[self.task] if self.published is None else self.published.num_classes

    @property
    def size(self) -> Size | None:
        """The height and width of its input where nobody says another."""
        if self.published is not None:
            return self.published.input_shape[2:]
        return None if self.input_shape is None else self.input_shape[1:]

    @property
    def channels(self) -> int:
        """The channels of its input: what it was given, or RGB."""
        given = self.arguments.get("in_channels", self.arguments.get("in_chans"))
        if self.input_shape is not None:
            return self.input_shape[0]
        return given if isinstance(given, int) else 3

    def source(self, *, num_classes: int, in_channels: int, width: float) -> Source:
        """How it is built again. Raises `InputError` for a width that it does not have."""
        if self.own and width != 1:
            raise InputError(f"{self.origin} has no width multiplier", hint="leave --width out")
        return Source(
            name=self.origin,
            num_classes=num_classes,
            in_channels=in_channels,
            width=width,
            arguments=self.arguments,
            program=self.program,
            network=self.network,
        )


def architecture(model: str, arguments: Sequence[str] = (), task: Task | None = None) -> Architecture:
    """Look MODEL up; `arguments` are `key=value` words for its factory.

    Raises `InputError` for a name that is not known (with the near ones), a module or factory that is missing
    or fails, a file that is refused; `MissingError` for a library that is not installed.
    """
    given = factory.parse_arguments(arguments)
    library = model.partition(":")[0]
    if library in libraries.LIBRARIES and ":" in model:
        version = libraries.find_library_network(model, given)
        return _own(model, library, {"name": model, "version": version, "arguments": given}, given, task)
    if library == keras.PREFIX or Path(model).suffix == keras.SUFFIX:
        return _of_keras(model, given, task)
    if factory.FORM.fullmatch(model):
        code = factory.find_factory(model).code_sha256
        return _own(model, "own", {"name": model, "code": code, "arguments": given}, given, task)
    if Path(model).suffix == program.SUFFIX:
        _only(model, given, ())
        shape = vet_program(Path(model)).input_shape
        digest = program.keep_program(Path(model))
        return Architecture(
            name=_folder_name(Path(model).stem),
            family="own",
            task=task or "classification",
            origin=Path(model).name,
            identity={"program": digest},
            program=digest,
            input_shape=shape,
        )
    return _of_zoo(model, task, given)


def build(source: Source) -> nn.Module:
    """The network with fresh random weights (a `.pt2` file's own), in training mode unless it is such a file.

    Raises `InputError` as `architecture` does, and for code of the user's that was not named in this process.
    """
    if source.program is not None:
        return program.build_program(source.program)
    if source.network is not None:
        from edgekit.zoo.keras_network import KerasNetwork

        return KerasNetwork(source.network)
    sizes = {"num_classes": source.num_classes, "in_channels": source.in_channels}
    if source.name.partition(":")[0] in libraries.LIBRARIES and ":" in source.name:
        return libraries.build_library_network(source.name, source.arguments, **sizes)
    if ":" in source.name:
        return factory.call_factory(source.name, source.arguments, sizes)
    return registry.build(source)


def _own(
    model: str, family: str, identity: object, arguments: Mapping[str, Any], task: Task | None
) -> Architecture:
    return Architecture(
        name=_folder_name(model.partition(":")[2]),
        family=family,
        task=task or "classification",
        origin=model,
        identity=identity,
        arguments=arguments,
    )


def _of_keras(model: str, given: Mapping[str, Any], task: Task | None) -> Architecture:
    """A file comes with its weights; a function's network is trained here, like that of a factory."""
    if task == "segmentation":
        raise InputError("Keras networks are read as classifiers", hint="leave --task out")
    from_file = not model.startswith(f"{keras.PREFIX}:")
    if from_file:
        _only(model, given, ("mean", "std"))
    read = keras.read_keras(model, {} if from_file else given)
    channels, height, width = read.input_shape
    if channels is None:
        raise InputError(f"{model} does not say how many channels its pictures have")
    fixed = None if height is None or width is None else (channels, height, width)
    return Architecture(
        name=_folder_name(Path(model).stem if from_file else model.rpartition(":")[2]),
        family="keras",
        task="classification",
        origin=Path(model).name if from_file else model,
        identity={"keras": read.sha256, "arguments": given},
        arguments={"in_channels": channels},
        network=read.network,
        weights=read.weights if from_file else None,
        input_shape=fixed,
        pixels=_pixels(given) if from_file and given else ((0.0, 1 / 255) if read.raw_pixels else None),
    )


def _pixels(given: Mapping[str, Any]) -> tuple[float, float]:
    mean, std = given.get("mean", 0.0), given.get("std", 1.0)
    if not all(isinstance(value, int | float) for value in (mean, std)) or not std > 0:
        raise InputError(
            f"--factory-arg mean={mean} std={std} are no pixels' mean and deviation",
            hint="for example --factory-arg mean=0.5 --factory-arg std=0.5 for a network that takes [-1, 1]",
        )
    return float(mean), float(std)


def _only(model: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raise `InputError` for a `--factory-arg` that the network has no place for."""
    if extra := sorted(given.keys() - set(known)):
        takes = f"it takes {', '.join(known)}" if known else "a .pt2 file is built already"
        raise InputError(f"{model} takes no --factory-arg {extra[0]}", hint=takes)


def _of_zoo(model: str, task: Task | None, given: Mapping[str, Any]) -> Architecture:
    known = {entry.name: entry for entry in catalogue()}
    if model not in known:
        if Path(model).suffix in WEIGHTS_FILES:
            raise InputError(
                f"{model} holds weights, no network", hint=f"name the network, and give --weights {model}"
            )
        raise unknown("model", model, known, hint=f"({FORMS})")
    entry = known[model]
    _only(model, given, ("in_channels",))
    if given.get("in_channels", 3) not in (1, 3):
        raise InputError(f"{model} reads pictures of 1 channel or 3, not {given['in_channels']!r}")
    if task not in (None, entry.task):
        raise InputError(f"{model} is for {entry.task}, not {task}", hint="leave --task out")
    return Architecture(
        name=entry.name,
        family=entry.family,
        task=entry.task,
        origin=entry.name,
        identity=entry.name,
        published=entry,
        arguments=given,
    )


def _folder_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip(".-") or "model"
