"""TensorRT through `trtexec`, the tool that comes with it: engines are built on the device that runs them.

trtexec times inferences in a loop of its own. A sample is its `latencyMs`, as an application waits for it: the input to
the GPU, the GPU's computation, the output back to the host, one query at a time (`--exposeDMA`). The computation alone
stands beside it in `details`. Flags differ between TensorRT 10.3 and 11, so `trtexec --help` is asked which it takes.
Formats: NVIDIA/TensorRT, samples/common/sampleReporting.cpp; layers: TensorRT's "Engine Inspector".
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

NAME = "tensorrt"
DISTRIBUTION = ""  # not pip's: it comes with JetPack
EXTRA = ""
MEND = "on a Jetson: sudo apt-get install tensorrt (elsewhere: measure on one, it builds its own engine)"
FORMATS = ("onnx",)
# `input`: its name in the file. `cache`: where engines lie, by content, and what the builder learnt of kernels' times
# (empty: neither is used again). A build takes minutes, and each block of a measurement is a process of its own.
CACHE = f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/edgekit/tensorrt"
OPTIONS = {"input": "x", "optimization_level": "4", "cache": CACHE}
CACHE_BYTES = 4 * 1024**3  # of engines: beyond it the one that was used longest ago goes
TURNS = 2  # each starts trtexec anew, which takes a second or more
OPEN_SECONDS = 1800  # what a build may take on top of an inference's time
TINY_MODEL = (
    "CAg6VAoSCgF4EgF5GgRyZWx1IgRSZWx1EgRyZWx1WhsKAXgSFgoUCAESEAoCCAEKAggBCgIIAgoCCAJiGwoBeRIWChQIARIQCgIIAQoC"
    "CAEKAggCCgIIAkIECgAQDQ=="
)

Array = np.ndarray[Any, Any]
JETPACK = "/usr/src/tensorrt/bin/trtexec"  # outside the PATH
TIMING = ("--useCudaGraph", "--useSpinWait", "--exposeDMA", "--includeDataTransfers")
"""Asked for by name where they are known: 11 has the first two by itself, and leaves transfers out unless told."""
ONCE = ("--warmUp=0", "--duration=0", "--iterations=1")
PROFILE = ("--warmUp=0", "--duration=0", "--iterations=20")
CLOCK_NS = 500  # the resolution of CUDA events (cudaEventElapsedTime), with which trtexec takes times
IN_FORCE = ("CUDA Graph", "Spin-wait", "Data transfers", "ExposeDMA", "Selected Device", "Compute Capability")
WEIGHTED = re.compile(r"conv|gemm|matmul|matrixmultiply|fullyconnected|fprop", re.IGNORECASE)
KINDS = (  # in this order: `bfloat16` holds `float`
    ("i8", re.compile(r"int8|i8i8", re.IGNORECASE)),
    ("bf16", re.compile(r"bf16|bfloat", re.IGNORECASE)),
    ("f16", re.compile(r"half|fp16|f16", re.IGNORECASE)),
    ("f32", re.compile(r"float|fp32|f32|ffma", re.IGNORECASE)),
)
UNKNOWN = "unknown"


def version() -> str:
    """TensorRT's, from trtexec's banner."""
    return Tool().version


def precisions() -> list[str]:
    """Strongly typed, a file runs in the types that it holds: FP32, or FP16 where it was written so."""
    return ["f32", "f16"]


class Tool:
    """trtexec, with what it says of itself."""

    def __init__(self) -> None:
        found = shutil.which("trtexec") or (JETPACK if os.access(JETPACK, os.X_OK) else None)
        if found is None:
            raise ModuleNotFoundError(f"no trtexec on the PATH, and no {JETPACK}", name="trtexec")
        self.path = found

    @cached_property
    def help(self) -> str:
        """What `--help` prints; the banner comes first."""
        asked = subprocess.run([self.path, "--help"], input=b"", capture_output=True, check=False)
        return asked.stdout.decode("utf-8", errors="replace")

    @cached_property
    def version(self) -> str:
        """10.3.0 where the banner says `[TensorRT v100300]`; raises `RuntimeError` under 10: no strong typing."""
        banner = re.search(r"\[TensorRT v(\d+)", self.help)
        number = int(banner[1]) if banner else 0
        if number < 100_000:
            told = f"v{banner[1]}" if banner else "a version that it does not tell"
            raise RuntimeError(f"{self.path} is of TensorRT {told}; 10 or newer is needed (JetPack 6)")
        return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"

    def known(self, *flags: str) -> list[str]:
        """Those that this version has."""
        offered = set(re.findall(r"^ +(--\w+)", self.help, re.MULTILINE))
        return [flag for flag in flags if flag.partition("=")[0] in offered]


class Session:
    """One engine; inputs and outputs are float32, (N, C, H, W) in. What it makes is left in `kept/`."""

    def __init__(self, path: str, _threads: int, options: dict[str, str]) -> None:
        self._settings = {**OPTIONS, **options}
        self._tool = Tool()
        self._model = Path(path)
        self._folder, self._kept = Path.cwd(), Path.cwd() / "kept"
        self._rss_bytes, self._log = 0, ""
        self._rows: list[dict[str, float]] = []
        self._flags = [f"--loadEngine={self._engine()}", *self._tool.known(*TIMING)]

    def feed(self, batch: Array) -> None:
        """Set the input."""
        path = self._folder / "input.bin"
        np.ascontiguousarray(batch, dtype=np.float32).tofile(path)
        self._input = f"--loadInputs={self._settings['input']}:{path}"

    def invoke(self) -> None:
        """One inference, in a process of its own: a second or more, so good for known answers, not for a split."""
        self._infer(*ONCE)

    def result(self) -> Array:
        """The output, as float32; trtexec writes six digits."""
        # Read by hand: C++ writes `nan` and `inf`, which are no JSON.
        text = (self._folder / "output.json").read_text(encoding="utf-8")
        found = re.search(r'"dimensions" : "([\dx]+)".*?"values" : \[([^\]]*)\]', text, re.DOTALL)
        if found is None:
            raise RuntimeError(f"trtexec wrote no output that can be read: {text[:200]!r}")
        values = np.array([float(value) for value in found[2].split(",")], dtype=np.float32)
        return values.reshape([int(size) for size in found[1].split("x")])

    def run(self, batch: Array) -> Array:
        """Feed, invoke, result."""
        self.feed(batch)
        self.invoke()
        return self.result()

    def measure(self, warmup_seconds: float, min_seconds: float, min_samples: int) -> dict[str, Any]:
        """One loop of trtexec's, until both minima are reached: it knows no upper limit.

        Its own warm-up would be lost from what it exports, so the loop is longer by one that is cut off here.
        """
        times = self._folder / "times.json"
        # Where the count decides, an inference takes at least min_seconds / min_samples, which bounds the warm-up's.
        share = warmup_seconds / min_seconds if min_seconds else 0
        self._infer(
            "--warmUp=0",
            f"--duration={warmup_seconds + min_seconds:g}",
            f"--iterations={int(min_samples * (1 + share)) + 1}",
            f"--exportTimes={times}",
        )
        rows = json.loads(times.read_text(encoding="utf-8"))
        begun = rows[0]["startComputeMs"] + warmup_seconds * 1e3
        self._rows = [row for row in rows if row["startComputeMs"] >= begun] or rows[-1:]
        nanoseconds = [round(row["latencyMs"] * 1e6) for row in rows]
        return {
            "warmup_ns": nanoseconds[: len(rows) - len(self._rows)],
            "samples_ns": nanoseconds[len(rows) - len(self._rows) :],
            "clock_ns": CLOCK_NS,
            "peak_rss_bytes": self._rss_bytes,
        }

    def executed(self) -> dict[str, object]:
        """The engine's layers, from a run with trtexec's profiler; layers and their times stay in `kept/`."""
        timed_log, stem = self._log, self._model.stem
        layers_path, times = self._kept / f"{stem}.layers.json", self._kept / f"{stem}.profile.json"
        told = f"--exportLayerInfo={layers_path}", f"--exportProfile={times}"
        self._trtexec("profiling the engine", *self._flags, *PROFILE, *told)
        layers = json.loads(layers_path.read_text(encoding="utf-8"))["Layers"]
        layers = [layer for layer in layers if isinstance(layer, dict)]  # names alone tell nothing
        kinds = Counter(kind_of(layer) for layer in layers if is_weighted(layer))
        integer, undetermined = kinds.pop("i8", 0), kinds.pop(UNKNOWN, 0)
        tensors = Counter(_kind(datatype(tensor)) for layer in layers for tensor in layer.get("Outputs", []))
        found = [kind for counts in (kinds, tensors) for kind, _ in counts.most_common()]
        parts = {"h2d_p50_ms": "h2dMs", "gpu_compute_p50_ms": "computeMs", "d2h_p50_ms": "d2hMs"}
        medians = {name: np.median([row[key] for row in self._rows]) for name, key in parts.items()}
        return {
            "operators": Counter(str(layer.get("LayerType", UNKNOWN)) for layer in layers),
            "integer_operators": integer,
            "float_operators": sum(kinds.values()),
            "float_precision": next((kind for kind in found if kind not in {"i8", UNKNOWN}), UNKNOWN),
            "details": {
                **in_force(timed_log),
                "sample": "latencyMs: input to the GPU, computation, output to the host",
                **{name: f"{median:.4f}" for name, median in medians.items()},
                "counted": "convolutions and products among the engine's layers" if layers else UNKNOWN,
                "undetermined_operators": str(undetermined),
                "timing_flags": " ".join(self._flags[1:]),
                "build_flags": " ".join(self._build_flags),
                "trtexec": self._tool.path,
            },
        }

    @cached_property
    def _build_flags(self) -> list[str]:
        level = self._settings["optimization_level"]
        return self._tool.known(
            "--stronglyTyped",
            "--profilingVerbosity=detailed",
            f"--builderOptimizationLevel={level}",
            "--sparsity=enable",  # heeds weights that hold 2:4, and no others
            "--skipInference",
        )

    def _engine(self) -> Path:
        """Built, or one that was built here before from the same bytes by the same version with the same flags."""
        engine = self._kept / f"{self._model.stem}.engine"
        chosen = self._settings["cache"]
        cache = Path(chosen).expanduser() if chosen else self._folder
        cache.mkdir(parents=True, exist_ok=True)
        made_of = f"{self._tool.version} {self._build_flags} {platform.node()}".encode()
        key = hashlib.sha256(self._model.read_bytes() + made_of).hexdigest()
        stored, learnt = cache / f"{key}.engine", cache / f"timing-{self._tool.version}.cache"
        if stored.is_file():
            stored.touch()
            shutil.copyfile(stored, engine)
        else:
            files = f"--onnx={self._model}", f"--saveEngine={engine}", f"--timingCacheFile={learnt}"
            self._trtexec("building the engine", *files, *self._build_flags)
            part = cache / f"{stored.name}.{os.getpid()}.part"
            shutil.copyfile(engine, part)
            part.replace(stored)  # whole or not at all: another process may look for it now
            evict(cache)
        if learnt.is_file():
            shutil.copyfile(learnt, self._kept / learnt.name)
        return engine

    def _infer(self, *arguments: str) -> None:
        output = f"--exportOutput={self._folder / 'output.json'}"
        self._trtexec("running the engine", *self._flags, self._input, *arguments, output)

    def _trtexec(self, doing: str, *arguments: str) -> None:
        """Run it in a process of its own; raises `RuntimeError` with its own words where it fails."""
        sys.stderr.write(f"phase: {doing}\n")
        sys.stderr.flush()
        path = self._kept / f"{self._model.stem}.{doing.partition(' ')[0]}.log"
        with path.open("wb") as stream:
            command = [self._tool.path, *arguments]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self._rss_bytes = usage.ru_maxrss * 1024  # in KiB on Linux
        self._log = path.read_text(encoding="utf-8", errors="replace")
        if process.returncode:
            sys.stderr.write(self._log[-2000:])
            raise RuntimeError(f"trtexec failed while {doing}: {_reason(process.returncode, self._log)}")


def evict(cache: Path) -> None:
    """Remove what was used longest ago, halves of killed processes too, until the rest fits; the newest stays."""
    engines = sorted(cache.glob("*.engine*"), key=lambda path: path.stat().st_mtime)
    while len(engines) > 1 and sum(path.stat().st_size for path in engines) > CACHE_BYTES:
        engines.pop(0).unlink()


def is_weighted(layer: dict[str, Any]) -> bool:
    """Whether a layer of the engine is a convolution or a product, by what it is called or by its kernel."""
    kernel = str(layer.get("TacticName", ""))
    named = " ".join(str(layer.get(key, "")) for key in ("ParameterType", "LayerType"))
    return bool(WEIGHTED.search(f"{named} {kernel}")) and "mha" not in kernel  # attention: no weights


def kind_of(layer: dict[str, Any]) -> str:
    """What a weighted layer computes on: its weights tell, else its kernel's name, else its first input."""
    weights = layer.get("Weights")
    told = [
        weights.get("Type") if isinstance(weights, dict) else None,
        layer.get("TacticName"),
        *(datatype(tensor) for tensor in layer.get("Inputs", [])[:1]),
    ]
    return next((kind for text in told if (kind := _kind(str(text or ""))) != UNKNOWN), UNKNOWN)


def datatype(tensor: dict[str, Any]) -> str:
    """`Int8`, or in older versions a sentence that holds it."""
    return str(tensor.get("Format/Datatype", tensor.get("Datatype", "")))


def in_force(log: str) -> dict[str, str]:
    """What trtexec said that it did, whatever it was asked."""
    found = dict(re.findall(rf"\[I\] ({'|'.join(IN_FORCE)}): *(.*)", log))
    told = {name.lower().replace(" ", "_").replace("-", "_"): value.strip() for name, value in found.items()}
    if "flag has been ignored" in log:
        told["cuda_graph"] = "refused by the engine"
    return told


def _kind(text: str) -> str:
    return next((kind for kind, pattern in KINDS if pattern.search(text)), UNKNOWN)


def _reason(code: int, log: str) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"{name} ended it (often: out of memory)" if -code == signal.SIGKILL else f"{name} ended it"
    errors = re.findall(r"\[E\] (.*)", log)
    return "; ".join(errors[-3:]) or "; ".join([f"exit status {code}", *log.splitlines()[-1:]])
