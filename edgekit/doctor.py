"""What works here and what mends the rest: packages, runtimes that open a file, torch's GPU, TensorRT."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from edgekit import runtimes
from edgekit.devices import Answer, Device, Failure, Job, open_device
from edgekit.errors import MissingError
from edgekit.frozen import Frozen

# Distribution → the extra that brings it; empty: edgekit itself needs it.
PACKAGES = {
    "torch": "",
    "torchao": "",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "litert-torch": "litert",
    "ai-edge-quantizer": "litert",
    "huggingface-hub": "hub",
}
# Where JetPack and NVIDIA's Debian packages put it, outside the PATH.
TRTEXEC = "/usr/src/tensorrt/bin/trtexec"
APT = "on a Jetson: sudo apt-get install tensorrt (elsewhere an engine is built on the device)"
ASK_TORCH = """
import torch
print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU: CPU only")
"""


class Check(Frozen):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    """A version, a device's name, or what is wrong."""
    mend: str = ""
    """The command that mends it."""


def checks(device_uri: str) -> list[Check]:
    """All checks, from the ground up; nothing is raised: what fails is a check that failed."""
    found = [Check(name="python", ok=sys.version_info >= (3, 11), detail=sys.version.split(" ")[0])]
    found += [_package(name, extra) for name, extra in PACKAGES.items()]
    found.append(_torch_device())
    try:
        device = open_device(device_uri)
    except MissingError as error:
        found.append(Check(name="device", ok=False, detail=error.what, mend=error.hint))
    else:
        found.append(Check(name="device", ok=True, detail=device.name))
        found += [_runtime(runtime, device) for runtime in runtimes.runtimes().values()]
    return found + _tensorrt(Path("/"))


def _pip(extra: str) -> str:
    return f"pip install 'edgekit[{extra}]'" if extra else "pip install edgekit"


def _package(name: str, extra: str) -> Check:
    try:
        return Check(name=name, ok=True, detail=importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name=name, ok=False, detail="not installed", mend=_pip(extra))


def _runtime(runtime: runtimes.Runtime, device: Device) -> Check:
    """Open and run the runtime's tiny model in a child on the device."""
    name = f"runtime {runtime.name}"
    outcome = device.call(Job("probe", runtime.file, timeout_s=60))
    match outcome:
        case Answer(values=values):
            return Check(
                name=name, ok=True, detail=f"{values['version']}, runs {' and '.join(values['precisions'])}"
            )
        case Failure(kind="missing", reason=reason):
            return Check(name=name, ok=False, detail=f"{reason} is not installed", mend=runtime.mend)
        case Failure(reason=reason):
            again = f"pip install --force-reinstall {runtime.distribution}"
            return Check(
                name=name, ok=False, detail=reason, mend=again if runtime.distribution else runtime.mend
            )


def _torch_device() -> Check:
    """Asked in a child: importing torch takes a second, and no other check needs it."""
    name = "torch's device"
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-c", ASK_TORCH], capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return Check(name=name, ok=False, detail="importing torch took over a minute", mend=_pip(""))
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        return Check(name=name, ok=False, detail=last, mend=_pip(""))
    return Check(name=name, ok=True, detail=ended.stdout.strip())


def _tensorrt(root: Path) -> list[Check]:
    """In stages, because each can be missing alone; nothing is loaded."""
    try:
        bindings = importlib.metadata.version("tensorrt")
    except importlib.metadata.PackageNotFoundError:
        bindings = ""
    library = ctypes.util.find_library("nvinfer") or ""
    board = root / "etc/nv_tegra_release"
    driver = root / "proc/driver/nvidia/version"
    device = next((path for path in (board, driver) if path.is_file()), None)
    trtexec = shutil.which("trtexec") or (TRTEXEC if (root / TRTEXEC.lstrip("/")).is_file() else "")
    stages = {
        "bindings": (bindings, "no Python package tensorrt", APT),
        "libraries": (library, "no libnvinfer", APT),
        "device": (
            device.read_text(errors="replace").splitlines()[0] if device else "",
            "no NVIDIA device",
            "engines are built on the device: copy the artifact there",
        ),
        "trtexec": (trtexec, "no trtexec on the PATH or in /usr/src/tensorrt/bin", APT),
    }
    return [
        Check(
            name=f"TensorRT {stage}", ok=bool(detail), detail=detail or missing, mend="" if detail else mend
        )
        for stage, (detail, missing, mend) in stages.items()
    ]
