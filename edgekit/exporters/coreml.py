"""Core ML: an `.mlpackage` in 16-bit floats, which an iPhone's bundle holds beside the .tflite.

coremltools converts on any machine, and only macOS can run what it wrote: nothing here has checked its answers. It
works in a child process (this module, as a script): it writes progress and warnings wherever it can.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.errors import InputError
from edgekit.exporters import child
from edgekit.optional import load, need

if TYPE_CHECKING:
    from edgekit.model import Model

EXTRA, PACKAGES = "coreml", ("coremltools",)
PACKAGE = "model.mlpackage"
INPUT, OUTPUT = "image", "logits"
_PROGRAM, _MANIFEST, _DEBUG = "program.pt2", "Manifest.json", "executorch_debug_handle_mapping.json"
_MODEL = "Data/com.apple.CoreML/model.mlmodel"
_TIMEOUT_S = 600


def write_package(model: Model, folder: Path) -> Path:
    """Write `model.mlpackage` of the float network; it takes `image` (1, C, H, W) and gives `logits`.

    The same model gives the same bytes. Raises `MissingError` without coremltools, `InputError` where it has no
    lowering for an operator.
    """
    need(PACKAGES, extra=EXTRA)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        work = Path(name)
        _save_program(model, work / _PROGRAM)
        _call(work)
        _settle(work / PACKAGE)
        shutil.copytree(work / PACKAGE, folder / PACKAGE)
    return folder / PACKAGE


def _save_program(model: Model, path: Path) -> None:
    import torch

    from edgekit.quantizer.quiet import quiet_torch

    with quiet_torch():
        program = torch.export.export(model.module, (torch.zeros(model.input_shape),)).run_decompositions({})
        for node in program.graph.nodes:
            if node.target is torch.ops.aten.max_pool2d.default and len(node.args) == 2:
                node.args = (
                    *node.args,
                    node.args[1],
                )  # the stride, which is the window's size where none is given
        torch.export.save(program, path)


def _call(work: Path) -> None:
    same = os.environ | {
        "PYTHONHASHSEED": "0"
    }  # the converter goes through sets: their order decides its names
    try:
        status, last = child.call(__spec__.name, work, _TIMEOUT_S, env=same)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"coremltools gave no answer within {_TIMEOUT_S} s") from error
    if status:
        raise InputError(f"coremltools cannot convert the network: {last}")


def _settle(package: Path) -> None:
    """Its members get names that do not change from run to run; notes for a debugger go."""
    (package / _DEBUG).unlink(missing_ok=True)
    manifest = json.loads((package / _MANIFEST).read_text(encoding="utf-8"))
    entries = manifest["itemInfoEntries"]
    names = {identifier: _identifier(entry["path"]) for identifier, entry in entries.items()}
    manifest["itemInfoEntries"] = {
        names[each]: entries[each] for each in sorted(entries, key=names.__getitem__)
    }
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    files.write_json(package / _MANIFEST, manifest)
    for path in package.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _identifier(path: str) -> str:
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_URL, path))


def _run(work: Path) -> None:
    """The child's part."""
    import torch

    tools = load("coremltools", extra=EXTRA)
    program = torch.export.load(work / _PROGRAM)
    program.graph.eliminate_dead_code()  # batch norm's second and third result, which nobody reads, have no lowering
    name = program.graph_signature.user_inputs[0]
    (fed,) = (node for node in program.graph.nodes if node.name == name)
    converted = tools.convert(
        program,
        convert_to="mlprogram",
        compute_precision=tools.precision.FLOAT16,
        minimum_deployment_target=tools.target.iOS16,
        inputs=[tools.TensorType(name=INPUT, shape=tuple(fed.meta["val"].shape))],
        outputs=[tools.TensorType(name=OUTPUT)],
        skip_model_load=True,
    )
    converted.save(str(work / PACKAGE))
    specification = tools.utils.load_spec(str(work / PACKAGE))
    (work / PACKAGE / _MODEL).write_bytes(specification.SerializeToString(deterministic=True))


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
