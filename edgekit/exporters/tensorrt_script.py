"""The script that travels with a TensorRT artifact: engines can only be built on the device that runs them."""

from __future__ import annotations

from pathlib import Path

from edgekit import files

SCRIPT = "build_engine.sh"
NO_ENGINE = "no engine was built here"
"""Begins the note of a fresh export."""
_TEMPLATE = Path(__file__).with_name(SCRIPT)


def write_script(folder: Path, *, precision: str, sparse: bool) -> str:
    """Put `build_engine.sh` beside the models, for a `model.onnx` that is `int8` or `fp32`; gives its name.

    `sparse`: some weights hold a 2:4 pattern, so the builder may look for sparse kernels.
    """
    text = _TEMPLATE.read_text(encoding="utf-8")
    text = text.replace("PRECISION=int8", f"PRECISION={precision}")
    text = text.replace("SPARSE=0", f"SPARSE={int(sparse)}")
    files.write_text(folder / SCRIPT, text)
    (folder / SCRIPT).chmod(0o755)
    return SCRIPT
