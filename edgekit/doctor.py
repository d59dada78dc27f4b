"""What works here, and on a device, and what mends the rest: packages, runtimes that open a file, GPU, TensorRT."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from edgekit import runtimes
from edgekit.devices import HERE, Answer, Device, Failure, Job, Opened, TimesOnly, open_device
from edgekit.devices.state import UNKNOWN
from edgekit.errors import MissingError
from edgekit.frozen import Frozen
from edgekit.tfmot import process

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
    """All checks, from the ground up: those of this machine, then the device's.

    What fails is a check that failed; raises `InputError` for a URI that cannot be.
    """
    found = [Check(name="python", ok=sys.version_info >= (3, 11), detail=sys.version.split(" ")[0])]
    found += [_package(name, extra) for name, extra in PACKAGES.items()]
    found.append(_torch_device())
    found.append(_tfmot())
    if device_uri == HERE:
        return [*found, *_device(device_uri), *_tensorrt(Path("/"))]
    return found + _device(device_uri)


def _device(uri: str) -> list[Check]:
    """What the device itself tells; one check that failed where it cannot be reached."""
    try:
        device = open_device(uri)
        if isinstance(device, Opened):
            return [Check(name="device", ok=True, detail=device.ready)]
        found = [Check(name="device", ok=True, detail=device.name)]
        phone = isinstance(device, TimesOnly)  # no Python there, and one runtime: its own tool
        known = [runtimes.find("litert")] if phone else runtimes.runtimes().values()
        asked = {runtime: _asked(runtime, device) for runtime in known}
        if uri != HERE:
            found += _told(device.state().facts)
        if uri != HERE and not phone:
            found.append(_numpy(asked.values()))
    except MissingError as error:
        return [Check(name="device", ok=False, detail=error.what, mend=error.hint)]
    return found + [_runtime(runtime, outcome) for runtime, outcome in asked.items()]


def _told(facts: Mapping[str, str]) -> Iterator[Check]:
    for name in (
        "python",
        "system",
        "board",
        "board_release",
        "power_mode",
        "governor",
        "memory_available_mb",
    ):
        if (value := facts.get(name, UNKNOWN)) != UNKNOWN:
            yield Check(name=f"device's {name}", ok=True, detail=value)


def _numpy(outcomes: Iterable[Answer | Failure]) -> Check:
    """The runner needs it before any runtime is loaded, so that each runtime's answer tells."""
    name = "device's numpy"
    for outcome in outcomes:
        if isinstance(outcome, Answer):
            return Check(name=name, ok=True, detail=outcome.values.get("numpy", "installed"))
        if outcome.kind == "missing" and outcome.reason == "numpy":
            return Check(name=name, ok=False, detail="not installed", mend=f"{outcome.install} numpy")
    return Check(name=name, ok=True, detail="installed")


def _pip(extra: str) -> str:
    return f"pip install 'edgekit[{extra}]'" if extra else "pip install edgekit"


def _package(name: str, extra: str) -> Check:
    try:
        return Check(name=name, ok=True, detail=importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name=name, ok=False, detail="not installed", mend=_pip(extra))


def _asked(runtime: runtimes.Runtime, device: Device) -> Answer | Failure:
    """Open and run the runtime's tiny model in a child on the device."""
    return device.call(Job("probe", runtime.file, timeout_s=runtime.probe_seconds))


def _runtime(runtime: runtimes.Runtime, outcome: Answer | Failure) -> Check:
    name = f"runtime {runtime.name}"
    match outcome:
        case Answer(values=values):
            return Check(
                name=name, ok=True, detail=f"{values['version']}, runs {' and '.join(values['precisions'])}"
            )
        case Failure(kind="missing", reason=reason, install=install):
            return Check(name=name, ok=False, detail=f"{reason} is not installed", mend=runtime.mend(install))
        case Failure(reason=reason, install=install):
            again = f"{install or 'pip install'} --force-reinstall {runtime.distribution}"
            mend = again if runtime.distribution else runtime.mend()
            return Check(name=name, ok=False, detail=reason, mend=mend)


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


def _tfmot() -> Check:
    """TensorFlow's toolkit, which may lie in an environment of its own."""
    name = "TF-MOT"
    try:
        process.check()
    except MissingError as error:
        return Check(name=name, ok=False, detail=error.what, mend=error.hint)
    return Check(name=name, ok=True, detail=f"installed for {process.interpreter()}")


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
