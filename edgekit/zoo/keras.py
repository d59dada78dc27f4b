"""Keras networks: a `.keras` file or `keras:package.module:function`, read by Keras itself in a process of its own.

What comes back is a description and weights; the network is built from these with PyTorch's layers and held to what
Keras gives for the same pictures. From then on it is a network like any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit import files
from edgekit.errors import EdgekitError, InputError
from edgekit.tfmot import process
from edgekit.tfmot.keras_file import SUFFIX, vet

__all__ = ["PREFIX", "SUFFIX", "KerasRead", "read_keras"]
PREFIX: Final = "keras"
READER: Final = 2
"""Raised when a network is read otherwise than before: what was kept is then stale."""
TIMEOUT_S: Final = 600.0
TOLERANCE: Final = 1e-4
"""Of the largest output: PyTorch and TensorFlow sum in other orders."""

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class KerasRead:
    """A network as it was read."""

    network: tuple[dict[str, Any], ...]
    weights: Path
    """A .safetensors file."""
    input_shape: tuple[int | None, int | None, int | None]
    """(C, H, W); None where it takes any."""
    final: str
    """The activation that was left out at its end, which changes no decision."""
    sha256: str
    """Of the file, or of what the function gave."""

    @property
    def raw_pixels(self) -> bool:
        """Whether it scales pixels itself: then it takes them from 0 to 255."""
        return any(operator["op"] == "rescale" for operator in self.network[1:2])


def read_keras(model: str, arguments: Mapping[str, Any]) -> KerasRead:
    """Read the network of a `.keras` file, or the one that `keras:package.module:function` gives for `arguments`.

    A file is read once and kept by its content. Raises `InputError` for a file that is none, or that holds code, for
    a layer that edgekit does not read and for a function that fails; `MissingError` without TensorFlow.
    """
    if not model.startswith(f"{PREFIX}:"):
        file = vet(Path(model))
        kept = _folder(file.sha256)
        if (kept / "read.json").is_file():
            return _kept(kept)
        return _read({"path": str(file.path.resolve()), "keras": file.version}, model, file.sha256)
    factory = model.removeprefix(f"{PREFIX}:")
    job = {"factory": factory, "arguments": dict(arguments), "folder": str(Path.cwd())}
    return _read(job, factory, None)


def _read(job: Mapping[str, Any], name: str, sha256: str | None) -> KerasRead:
    with process.work() as work:
        result = process.call(work, {"kind": "read", **job}, timeout_s=TIMEOUT_S)
        weights, known = work.arrays("read"), work.arrays("known")
    _check(name, result, weights, known)
    digest = sha256 or _digest(result, weights)
    folder = _folder(digest)
    with files.new_folder(folder) as temporary:
        _save(temporary / "weights.safetensors", weights)
        files.write_json(temporary / "read.json", {**result, "sha256": digest})
    return _kept(folder)


def _check(
    name: str, result: Mapping[str, Any], weights: Mapping[str, Array], known: Mapping[str, Array]
) -> None:
    """Raise `EdgekitError` where the network that is built here is another one than Keras's."""
    import torch

    from edgekit.zoo.keras_network import KerasNetwork, parameter_name

    module = KerasNetwork(result["network"]).eval()
    state = {parameter_name(key): torch.from_numpy(value) for key, value in weights.items()}
    unfit = module.load_state_dict(state, strict=False)
    if unfit.unexpected_keys or any(not key.endswith("num_batches_tracked") for key in unfit.missing_keys):
        raise EdgekitError(f"{name} was read with other weights than its layers have: {unfit}")
    with torch.no_grad():
        given = module(torch.from_numpy(known["inputs"]).permute(0, 3, 1, 2))
        if result["final"]:
            given = torch.softmax(given, 1) if result["final"] == "softmax" else torch.sigmoid(given)
    expected = known["outputs"]
    wrong = float(abs(given.numpy() - expected).max()) if given.shape == expected.shape else float("inf")
    if not wrong <= TOLERANCE * max(1e-6, float(abs(expected).max())):
        raise EdgekitError(f"{name}: PyTorch's network differs from Keras's by {wrong:.1e}")


def _save(path: Path, weights: Mapping[str, Array]) -> None:
    from safetensors.numpy import save

    from edgekit.zoo.keras_network import parameter_name

    files.write_bytes(path, save({parameter_name(key): value for key, value in weights.items()}))


def _digest(result: Mapping[str, Any], weights: Mapping[str, Array]) -> str:
    told = hashlib.sha256(files.canonical_json(result["network"]).encode())
    for name in sorted(weights):
        told.update(name.encode() + weights[name].tobytes())
    return told.hexdigest()


def _folder(sha256: str) -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("edgekit") / "keras" / f"{sha256}-{READER}"


def _kept(folder: Path) -> KerasRead:
    try:
        read = json.loads((folder / "read.json").read_text(encoding="utf-8"))
        channels, height, width = read["input_shape"]
        return KerasRead(
            network=tuple(read["network"]),
            weights=folder / "weights.safetensors",
            input_shape=(channels, height, width),
            final=read["final"],
            sha256=read["sha256"],
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} is damaged: {error}", hint="delete it") from error
