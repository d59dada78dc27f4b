"""`.keras` archives as Keras writes them, made without Keras: of layers that are told."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

Part = dict[str, Any]


def layer(kind: str, *, module: str = "keras.layers", name: str = "", **config: Any) -> Part:
    return {
        "module": module,
        "class_name": kind,
        "config": {"name": name or kind.lower(), "dtype": policy(), **config},
        "registered_name": None,
        "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config": {}}], "kwargs": {}}],
    }


def policy() -> Part:
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}


def network(*layers: Part, kind: str = "Functional") -> Part:
    return {"module": "keras.src.models.functional", "class_name": kind, "config": {"layers": list(layers)}}


def archive(path: Path, config: Any, *, version: str = "3.15.1", extra: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(config))
        file.writestr("metadata.json", json.dumps({"keras_version": version}))
        for name in ("model.weights.h5", *extra):
            file.writestr(name, b"")
    return path
