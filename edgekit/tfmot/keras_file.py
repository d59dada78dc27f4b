"""A `.keras` file looked into without Keras: what its layers are is known before anything reads it.

Keras's own reader imports the modules that a file names; a file that names other than Keras's own layers is refused
unread.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import files
from edgekit.errors import InputError

SUFFIX = ".keras"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LAYERS = frozenset(
    (
        "InputLayer", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "BatchNormalization", "Activation",
        "ReLU", "LeakyReLU", "Softmax", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "Flatten",
        "Reshape", "Add", "Multiply", "Concatenate", "ZeroPadding2D", "Rescaling", "UpSampling2D", "Dropout",
        "SpatialDropout2D",
    )
)  # fmt: skip
"""What `worker/keras_layers.py` reads."""
PLAIN = frozenset(("__keras_tensor__", "DTypePolicy"))
"""What says how layers hang together, and in which numbers they compute."""
NETWORKS = frozenset(("Sequential", "Functional", "Model"))
_KERAS = re.compile(r"(tf_)?keras(\.[\w.]*)?")
_HELPERS = re.compile(
    r"(tf_)?keras(\.src)?\.(initializers|regularizers|constraints|dtype_policies|mixed_precision)(\.\w+)*"
)
"""Parts of Keras whose objects a layer's options hold."""
_CODE = ("Lambda", "__lambda__", "function")
MOST_BYTES = 64 * 1024 * 1024
"""Of its description: a network of a thousand layers takes one."""


@dataclass(frozen=True)
class KerasFile:
    """A vetted file."""

    path: Path
    sha256: str
    version: int
    """Of the Keras that wrote it: 2 or 3."""


def vet(path: Path) -> KerasFile:
    """Look into a file; raises `InputError` where it is none, or holds other layers than edgekit reads."""
    if not path.is_file():
        raise InputError(f"{path} is {'no file' if path.exists() else 'missing'}", hint="give a .keras file")
    try:
        with zipfile.ZipFile(path) as archive:
            config, metadata = (_json(archive, name) for name in (CONFIG, METADATA))
            odd = set(archive.namelist()) ^ {CONFIG, METADATA, WEIGHTS}
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RuntimeError) as error:
        raise InputError(
            f"{path} is no .keras file: {error}", hint="write it with model.save('model.keras')"
        ) from error
    if odd:
        raise InputError(f"{path} is no plain .keras file: {', '.join(sorted(odd))} is missing or too much")
    _check_network(path, config)
    version = str(metadata.get("keras_version", "")).partition(".")[0]
    if version not in ("2", "3"):
        raise InputError(f"{path} was written by a Keras of another kind: {metadata.get('keras_version')!r}")
    return KerasFile(path, files.sha256(path), int(version))


def _json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise ValueError(f"{name} is too large")
    value = json.loads(archive.read(name))
    if not isinstance(value, dict):
        raise ValueError(f"{name} holds no object")  # noqa: TRY004 (the file is at fault, not a caller)
    return value


def _check_network(path: Path, config: dict[str, Any]) -> None:
    kind = config.get("class_name")
    if kind not in NETWORKS:
        raise InputError(
            f"{path} holds a network of the class {kind}, whose code it does not hold",
            hint="build it with Sequential or the functional API, or give keras:package.module:function",
        )
    for one in _objects(config.get("config")):
        kind, module = str(one["class_name"]), str(one.get("module") or "keras.layers")
        helper = _HELPERS.fullmatch(module) and kind not in _CODE
        if not (helper or (_KERAS.fullmatch(module) and kind in NETWORKS | LAYERS | PLAIN)):
            raise _refused(path, kind, module, _name(one))


def _name(one: dict[str, Any]) -> str:
    inside = one.get("config")
    return str(one.get("name") or (inside.get("name", "") if isinstance(inside, dict) else ""))


def _refused(path: Path, kind: str, module: str, name: str) -> InputError:
    what = f"{path} holds {kind}{f' ({name})' if name else ''}"
    if kind in _CODE:
        return InputError(
            f"{what}: code that would run when it is read", hint="replace it with layers of Keras's own"
        )
    if not _KERAS.fullmatch(module):
        return InputError(
            f"{what} of {module}, code that the file does not hold",
            hint="give keras:package.module:function, which builds the network",
        )
    return InputError(f"{what}, which edgekit does not read", hint=f"it reads {', '.join(sorted(LAYERS))}")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every part of a description that names a class, at any depth."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for part in value.values():
            yield from _objects(part)
    elif isinstance(value, list):
        for part in value:
            yield from _objects(part)
