"""What a figure depends on besides the options: versions of the packages that made it."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = (
    "edgekit",
    "torch",
    "torchao",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "litert-torch",
    "ai-edge-quantizer",
    "ai-edge-litert",
    "coremltools",
    "huggingface-hub",
)


def versions() -> dict[str, str]:
    """Package → version, for those that are installed, with Python's and the platform's."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
