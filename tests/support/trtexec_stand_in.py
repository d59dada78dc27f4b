"""A stand-in for trtexec, of TensorRT 10.3 and of 11: it refuses what the real tool refuses, and computes in earnest.

`install` puts it into a folder for the PATH, with its orders in `orders.json` beside it: a child gets no variables of
ours. It knows each version's flags, holds an INT8 file to TensorRT's rules, loads engines of its own version alone,
and computes outputs in ONNX Runtime. Times are invented; the files that it writes have trtexec's own forms
(NVIDIA/TensorRT, samples/trtexec and samples/common).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from trtexec_engine import TrtError, bindings, engine_layers, outputs, parsed, precision_of

COMMON = """--onnx --saveEngine --loadEngine --timingCacheFile --builderOptimizationLevel --profilingVerbosity
--sparsity --skipInference --warmUp --duration --iterations --percentile --exposeDMA --loadInputs --exportOutput
--exportTimes --exportProfile --exportLayerInfo --separateProfileRun --help"""
FLAGS = {
    "10.3.0": f"{COMMON} --fp16 --int8 --stronglyTyped --useCudaGraph --useSpinWait --noDataTransfers",
    "11.1.0": f"{COMMON} --noCudaGraph --noSpinWait --includeDataTransfers",
}
OPSET = 20
MILLISECONDS = {"int8": 0.4, "fp16": 0.6, "fp32": 1.1}
TRANSFER_MS = 0.05
MAGIC = b"engine of the stand-in, TensorRT "
TOLD = """=== Inference Options ===
Spin-wait: {spin}
Data transfers: {transfers}
CUDA Graph: {graph}
ExposeDMA: {dma}"""


def install(folder: Path, version: str = "10.3.0", **orders: object) -> Path:
    """Put `trtexec` into a folder; orders: `fault`, `only` (for files of that stem), `milliseconds` by precision."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orders.json").write_text(json.dumps({"version": version, **orders}))
    script = folder / "trtexec"
    start = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    script.write_text(f"{start}import trtexec_stand_in\nsys.exit(trtexec_stand_in.main(__file__))\n")
    script.chmod(0o755)
    return folder


def calls(folder: Path) -> list[list[str]]:
    """The arguments of each call so far, but for `--help`."""
    path = folder / "calls.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [call for call in found if call != ["--help"]]


def main(script: str) -> int:
    """Do as trtexec does; the exit status."""
    folder = Path(script).parent
    orders = json.loads((folder / "orders.json").read_text())
    with (folder / "calls.jsonl").open("a") as stream:
        stream.write(json.dumps(sys.argv[1:]) + "\n")
    major, minor, patch = map(int, orders["version"].split("."))
    number = f"{major}{minor:02}{patch:02}" if major > 8 else f"{major}{minor}{patch:02}"
    banner = f"TensorRT.trtexec [TensorRT v{number}] [b26] # {' '.join(sys.argv)}"
    sys.stdout.write(f"&&&& RUNNING {banner}\n")
    flags = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    known = FLAGS.get(orders["version"], COMMON).split()
    if "--help" in flags:
        sys.stdout.write("=== Options ===\n" + "".join(f"  {flag:27} what it does\n" for flag in known))
        return 0
    errors = [f"Unknown option: {flag} {flags[flag]}" for flag in flags if flag not in known]
    try:
        if not errors:
            Run(orders, flags).go()
    except TrtError as error:
        errors = str(error).splitlines()
    say("\n".join(errors), "E")
    sys.stdout.write(f"&&&& {'FAILED' if errors else 'PASSED'} {banner}\n")
    return 1 if errors else 0


def say(text: str, level: str = "I") -> None:
    for line in text.splitlines():
        sys.stdout.write(f"[09/25/2026-10:00:00] [{level}] {line}\n")
    sys.stdout.flush()  # an order may be to die


class Run:
    """One call that names an ONNX file or an engine."""

    def __init__(self, orders: dict[str, Any], flags: dict[str, str]) -> None:
        self.orders, self.flags = orders, flags
        self.version = orders["version"]
        self.source = Path(flags.get("--onnx") or flags["--loadEngine"])
        self.fault = (
            orders.get("fault", "") if self.source.stem == orders.get("only", self.source.stem) else ""
        )

    def go(self) -> None:
        say("=== Device Information ===\nSelected Device: Orin\nCompute Capability: 8.7")
        data = self.build() if "--onnx" in self.flags else self.load()
        if "--skipInference" in self.flags:
            say("Skipped inference phase since --skipInference is added.")
            return
        self.infer(data)

    def build(self) -> bytes:
        """The file's bytes, once it has met what TensorRT asks of it."""
        self.obey("build")
        data = self.source.read_bytes()
        model = parsed(data)
        if precision_of(model) == "int8":
            self.hold_to_rules()
        header = MAGIC + self.version.encode() + b"\n"
        if "--saveEngine" in self.flags:
            Path(self.flags["--saveEngine"]).write_bytes(header + data)
        if "--timingCacheFile" in self.flags:
            with Path(self.flags["--timingCacheFile"]).open("ab") as stream:
                stream.write(f"{len(model.graph.node)} kernels\n".encode())
        say("Engine built in 80.5 sec.")
        return data

    def hold_to_rules(self) -> None:
        from edgekit.exporters.tensorrt_rules import breaches
        from edgekit.target import FileRules

        if self.version.startswith("10.") and not {"--stronglyTyped", "--int8"} & self.flags.keys():
            raise TrtError("[TRT] Error Code 4: API Usage Error (int8 is not configured in the builder)")
        if broken := breaches(self.source, FileRules(runtime="tensorrt", opset=OPSET)):
            told = "\n".join(f"[TRT] ModelImporter.cpp: Invalid Node - {line}" for line in broken[:2])
            raise TrtError(f"{told}\nFailed to parse onnx file\nEngine set up failed")

    def load(self) -> bytes:
        data = self.source.read_bytes()
        header, _, rest = data.partition(b"\n")
        if header != MAGIC + self.version.encode():
            raise TrtError(
                "[TRT] IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Version tag does not match.)\n"
                "Engine deserialization failed\nGot invalid engine!\nInference set up failed"
            )
        return rest

    def infer(self, data: bytes) -> None:
        self.obey("run")
        transfers = "--noDataTransfers" not in self.flags
        if self.version.startswith("11."):
            transfers = "--includeDataTransfers" in self.flags
        graph = "--useCudaGraph" in self.flags or self.version.startswith("11.")
        spin = "--useSpinWait" in self.flags or self.version.startswith("11.")
        words = {"graph": graph, "spin": spin, "transfers": transfers, "dma": "--exposeDMA" in self.flags}
        say(TOLD.format(**{name: "Enabled" if on else "Disabled" for name, on in words.items()}))
        if self.fault == "no graph":
            say(
                "The specified --useCudaGraph flag has been ignored. The inference will be launched without.",
                "W",
            )
        model = parsed(data)
        if "--exportTimes" in self.flags:
            self.write("--exportTimes", self.times(precision_of(model), transfers=transfers))
        layers = (
            list(engine_layers(model, self.version))
            if self.fault != "names"
            else [node.name for node in model.graph.node]
        )
        self.write("--exportLayerInfo", {"Layers": layers, "Bindings": bindings(model)})
        named = [layer["Name"] if isinstance(layer, dict) else layer for layer in layers]
        times = [
            {"name": name, "timeMs": 2.0, "averageMs": 0.1, "medianMs": 0.1, "percentage": 5}
            for name in named
        ]
        self.write("--exportProfile", [{"count": 20}, *times])
        if "--exportOutput" in self.flags:
            name, _, path = self.flags["--loadInputs"].partition(":")
            text = outputs(model, name, Path(path), spoilt=self.fault == "nan")
            Path(self.flags["--exportOutput"]).write_text(text)

    def write(self, flag: str, document: object) -> None:
        if flag in self.flags:
            Path(self.flags[flag]).write_text(json.dumps(document))

    def times(self, precision: str, *, transfers: bool) -> list[dict[str, float]]:
        """The trace of a loop that ends when both minima are reached."""
        import numpy as np

        random = np.random.default_rng()
        middle = {**MILLISECONDS, **self.orders.get("milliseconds", {})}[precision]
        least_ms, least = 1e3 * float(self.flags["--duration"]), int(self.flags["--iterations"])
        moved = TRANSFER_MS if transfers else 0.0
        rows: list[dict[str, float]] = []
        now = 3.0
        while len(rows) < least or now - 3 < least_ms:
            compute = float(f"{middle * (1 + random.gamma(2, 0.01)):.6g}")
            rows.append(
                {
                    "startEnqMs": now, "endEnqMs": now + 0.02, "startH2dMs": now, "endH2dMs": now + moved,
                    "startComputeMs": now + moved, "endComputeMs": now + moved + compute,
                    "startD2hMs": now + moved + compute, "endD2hMs": now + 2 * moved + compute,
                    "h2dMs": moved, "computeMs": compute, "d2hMs": moved, "latencyMs": compute + 2 * moved,
                }
            )  # fmt: skip
            now += compute + 2 * moved
        return rows

    def obey(self, phase: str) -> None:
        """Fail as ordered."""
        told = {
            "no memory": "[TRT] Error Code 2: OutOfMemory (Requested size was 268435456 bytes.)",
            "unsupported": "[TRT] ModelImporter.cpp: No importer registered for op: Mystery\nFailed to parse onnx file",
        }
        if phase == "build" and self.fault in told:
            raise TrtError(f"{told[self.fault]}\nEngine set up failed")
        if phase == "build" and self.fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if phase == "run" and self.fault == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if phase == "run" and self.fault == "hang":
            time.sleep(600)
