"""Tensors read from a weights file, which is somebody's input: nothing in it is ever executed."""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgekit.errors import InputError

WRAPPERS = (
    # the averaged weights first: where a file has both, they are the ones that were published
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema"),
    *("state_dict", "model_state_dict", "model", "module", "net", "network"),
)
"""The keys under which training scripts put the weights."""
MAX_DEPTH = 4

_BROKEN = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    EOFError,
    struct.error,
    zipfile.BadZipFile,
)
"""What torch's restricted unpickler raises on bytes that are no checkpoint."""


def read_weights(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The wrapper's name (empty where there is none) and the tensors by key, on the CPU.

    Raises `InputError` for a file that is missing, truncated, no weights file, or that holds code.
    """
    if not path.is_file():
        raise InputError(
            f"{path} is {'no file' if path.exists() else 'missing'}",
            hint="give a .pth, .pt or .safetensors file",
        )
    content = _safetensors(path) if path.suffix == ".safetensors" else _checkpoint(path)
    wrappers, content = _unwrapped(content)
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        keys = ", ".join(str(key) for key in list(content)[:5])
        raise InputError(f"{path} holds no weights", hint=f"its keys are: {keys}" if keys else "it is empty")
    _check_plain(path, tensors)
    return ".".join(wrappers), tensors


def _unwrapped(content: Mapping[Any, Any], depth: int = MAX_DEPTH) -> tuple[list[str], Mapping[Any, Any]]:
    """The wrappers around the weights, and what lies in them; one that holds no weights (a decay) is none."""
    for name in WRAPPERS if depth else ():
        if isinstance(inner := content.get(name), Mapping):
            wrappers, found = _unwrapped(inner, depth - 1)
            if any(isinstance(value, Tensor) and value.dim() for value in found.values()):
                return [name, *wrappers], found
    return [], content


def _safetensors(path: Path) -> Mapping[str, Any]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a whole safetensors file: {error}", hint="fetch it again") from error


def _checkpoint(path: Path) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # all protocols are read
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds Python objects besides weights, or is no PyTorch file: it was not unpickled",
            hint="save the weights alone, torch.save(model.state_dict(), FILE), or as .safetensors",
        ) from error
    except _BROKEN as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]  # then torch advises to load it unsafely
        raise InputError(
            f"{path} is not a whole PyTorch weights file: {reason}",
            hint="fetch it again; of a model in another form save model.state_dict()",
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(
            f"{path} holds a {type(content).__name__}, no weights by name", hint="save model.state_dict()"
        )
    return content


def _check_plain(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for key, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_complex():
            raise InputError(
                f"{key} in {path} is not a plain tensor", hint="save the float network's state_dict()"
            )
