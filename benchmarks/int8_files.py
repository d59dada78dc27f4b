"""The networks and files of `int8.py`: which quantizers there are, and how each is run in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from prune_criteria import Said
from torch import nn

from edgekit import files
from edgekit.artifact import MANIFEST, PARITY, ArtifactFolder, load_artifact
from edgekit.checkpoint import save_model
from edgekit.devices.child import signal_name
from edgekit.pipeline.baseline import baseline
from edgekit.pipeline.job import Job, resolve
from edgekit.request import Request

FAMILIES = {
    "squeezenet1.1": 64,
    "mobilenetv1": 64,
    "mobilenetv2": 32,
    "mobilenetv3-small": 64,
    "shufflenetv2-x0.5": 32,
    "ghostnet": 32,
    "unext-s": 64,
}
"""Each at pictures of so many pixels, where accuracy is asked for."""
LARGE = 224
"""Pixels where latency is."""
SAMPLES = 256
"""Calibration pictures, unless said: what `compress` takes."""
TIMEOUT_S = 900
NNCF = Path(".tools/nncf")


@dataclass(frozen=True)
class File:
    """What one quantizer writes: which of `int8_peers.py`, for whom it goes, from which float file it starts."""

    quantizer: str
    method: str
    source: str
    """A float file below, or the checkpoint."""
    runtimes: tuple[str, ...]


CHECKPOINT = "network"
FLOATS = (
    File("float", "float-intel-cpu", CHECKPOINT, ("openvino",)),
    File("float", "float-host", CHECKPOINT, ("onnxruntime",)),
    File("float", "float-android", CHECKPOINT, ("litert",)),
)
FILES = (
    *FLOATS,
    File("edgekit", "edgekit-intel-cpu", CHECKPOINT, ("openvino",)),
    File("edgekit", "edgekit-host", CHECKPOINT, ("onnxruntime",)),
    File("edgekit", "edgekit-android", CHECKPOINT, ("litert",)),
    File("NNCF", "nncf-ir", "float-intel-cpu", ("openvino",)),
    File("NNCF", "nncf-onnx", "float-host", ("onnxruntime",)),
    File("ONNX Runtime", "ort-static", "float-host", ("onnxruntime", "openvino")),
    File("AI Edge", "ai-edge", "float-android", ("litert",)),
)


@dataclass(frozen=True, eq=False)
class Subject:
    """One network and the folder in which its files lie."""

    family: str
    seed: int
    pixels: int
    samples: int
    folder: Path

    @property
    def key(self) -> dict[str, Any]:
        return {"family": self.family, "seed": self.seed, "pixels": self.pixels, "samples": self.samples}

    @property
    def job(self) -> Job:
        """Trained on the built-in data; at the large size random, with statistics of random pictures, and biases."""
        recipe = "latency-only" if self.pixels == LARGE else None
        request = Request(
            model=self.family, target="host", recipe=recipe, seed=self.seed, input_size=self.pixels
        )
        return resolve(request)

    def prepared(self) -> None:
        """Checkpoint and calibration pictures, unless they are there."""
        if (self.folder / "samples.npy").is_file():
            return
        job = self.job
        model = baseline(job, Said())
        if self.pixels == LARGE:
            draw_biases(model.module, self.seed)
        with files.new_folder(self.folder / CHECKPOINT) as temporary:
            save_model(model, temporary)
        pictures = job.data.calibration.images(np.arange(min(self.samples, len(job.data.calibration))))
        np.save(self.folder / "samples.npy", np.ascontiguousarray(pictures, dtype=np.float32))

    def artifact(self, file: File) -> ArtifactFolder | None:
        """The file with a manifest, None where its quantizer gave none."""
        path = self.folder / file.method
        return load_artifact(path) if (path / MANIFEST).is_file() else None


def draw_biases(network: nn.Module, seed: int) -> None:
    """Biases as a trained network has them: untrained ones are zeros, which one converter drops and another keeps.

    So are those that folding makes of a batch norm behind a convolution of centred values: as int32 they vanish.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1, generator=generator)


def written(subject: Subject, file: File) -> dict[str, Any]:
    """Run a quantizer; its seconds and its file's size, or why there is none."""
    out = subject.folder / file.method
    shutil.rmtree(out, ignore_errors=True)
    source = subject.folder / file.source
    if file.source != CHECKPOINT:
        if not (source / MANIFEST).is_file():
            return {"failed": "the float file that it starts from could not be written"}
        source = load_artifact(source).model_path
    what = (file.method, str(source), str(subject.folder / "samples.npy"), str(out))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    if file.quantizer == "NNCF":
        paths = (str(NNCF.resolve()), kept.get("PYTHONPATH", ""))
        kept["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    script = Path(__file__).with_name("int8_peers.py")
    try:
        done = subprocess.run(
            [sys.executable, str(script), *what],
            env=kept, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"no file within {TIMEOUT_S} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return {"failed": signal_name(-done.returncode) if done.returncode < 0 else last[:300]}
    if not (out / MANIFEST).is_file():
        place(out, load_artifact(subject.folder / file.source))
    found = load_artifact(out)
    return {**json.loads(done.stdout.splitlines()[-1]), "size_bytes": found.size_bytes}


def place(folder: Path, origin: ArtifactFolder) -> None:
    """Give a peer's file the manifest of the float file that it was made from."""
    names = sorted(path.name for path in folder.iterdir())
    model_file = next(name for name in names if not name.endswith(".bin"))
    changed = {
        "precision": "int8",
        "model_file": model_file,
        "sha256": {name: files.sha256(folder / name) for name in names},
        "companions": (),
        "notes": (),
    }
    origin.manifest.model_copy(update=changed).at(folder).write()
    shutil.copy(origin.folder / PARITY, folder / PARITY)
