"""Times of an engine's layers as `trtexec` exports them, for the same join as the runtimes' own profiles.

`--exportProfile` writes a list: the number of inferences, then for each layer its name and times in milliseconds.
`--exportLayerInfo` (with `--profilingVerbosity=detailed`) adds which ONNX operators each layer is made of.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError
from edgekit.operators import OperatorTime

if TYPE_CHECKING:
    from collections.abc import Mapping

_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_MOVES = re.compile(r"Reformatting CopyNode")
"""A layer that TensorRT adds, named after the one that it serves: it is none of the network's."""


def read_trtexec(profile: str, layer_info: str = "") -> tuple[list[OperatorTime], int]:
    """The engine's layers in order and the number of inferences, from the text of both files.

    Raises `InputError` where a file is not of that form.
    """
    entries = _parsed(profile, "--exportProfile")
    nodes = _nodes(_parsed(layer_info, "--exportLayerInfo")) if layer_info else {}
    if not isinstance(entries, list):
        raise InputError("a profile of trtexec is a list", hint="write it with --exportProfile=FILE")
    count = next(
        (int(entry["count"]) for entry in entries if isinstance(entry, dict) and "count" in entry), 0
    )
    layers = [entry for entry in entries if isinstance(entry, dict) and "name" in entry]
    if not count or not layers:
        raise InputError("the profile of trtexec names no layer", hint="write it with --exportProfile=FILE")
    return [_operator(entry, nodes) for entry in layers], count


def _operator(entry: Mapping[str, Any], nodes: Mapping[str, tuple[str, ...]]) -> OperatorTime:
    name, average = str(entry["name"]), entry.get("averageMs")
    if not isinstance(average, int | float) or not math.isfinite(average) or average < 0:
        raise InputError(f"the profile of trtexec has no time for {name}: averageMs is {average!r}")
    moves = bool(_MOVES.search(name))
    parts = () if moves else nodes.get(name) or tuple(part.strip() for part in name.split(" + "))
    return OperatorTime(name, "reformat" if moves else "TensorRT", parts, float(average) * 1e6)


def _nodes(info: object) -> dict[str, tuple[str, ...]]:
    """Layer → the ONNX operators that its metadata names."""
    layers = info.get("Layers", []) if isinstance(info, dict) else []
    found = {
        str(layer["Name"]): tuple(_NODE.findall(str(layer.get("Metadata", ""))))
        for layer in layers
        if isinstance(layer, dict) and "Name" in layer
    }
    return {name: nodes for name, nodes in found.items() if nodes}


def _parsed(text: str, flag: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"what {flag} wrote is not JSON: {error}") from error
