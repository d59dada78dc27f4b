"""One quantizer, alone in this process, from a float network to a written file: what `int8.py` runs and times.

`python benchmarks/int8_peers.py METHOD SOURCE SAMPLES OUT` reads what the method starts from (edgekit: a checkpoint;
the others: a float file that edgekit exported from it) and the calibration pictures, a .npy of (n, C, H, W) float32.
The last line that it prints is JSON: `seconds` from calibration to written file, packages loaded before,
`processor_seconds` of all threads, and `version`. Peers are called as their own pages advise for a CNN on this
processor.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.parity import Array

Work = Callable[[], None]
BATCH, KNOWN_INPUTS = 32, 8
"""Of pictures, as `compress` calibrates and as many as it ships with their answers."""


def edgekit_to(target: str, *, int8: bool) -> Callable[[Path, Array, Path], Work]:
    """Ours, for a target; without `int8` its float file, which the peers start from."""

    def method(source: Path, samples: Array, out: Path) -> Work:
        from edgekit.checkpoint import load_model
        from edgekit.exporters import check_packages, export
        from edgekit.model import Event
        from edgekit.quantizer.ptq import Methods, quantize
        from edgekit.target import load_target

        found = load_target(target)
        check_packages(found.format)
        warm(found.format)
        model = load_model(source)

        def work() -> None:
            network = model
            if int8:
                batches = (samples[start : start + BATCH] for start in range(0, len(samples), BATCH))
                made = quantize(model, found.int8, batches, Methods())
                event = Event(stage="quantize", summary="INT8")
                network = model.after(event, module=made.module, quantization=made.quantization)
            export(network, found, out, samples[:KNOWN_INPUTS])

        return work

    return method


def warm(format_name: str) -> None:
    """Packages that edgekit loads when it needs them: a peer's are loaded before its clock starts, too."""
    import torch
    import torch.onnx
    import torchao.quantization.pt2e.quantize_pt2e

    modules = {
        "onnx": ("onnx", "onnxscript"),
        "openvino": ("onnx", "onnxscript"),
        "tflite": ("litert_torch", "ai_edge_quantizer", "ai_edge_litert.interpreter"),
    }
    for name in modules[format_name]:
        importlib.import_module(name)
    if format_name == "openvino":
        from edgekit.exporters.openvino import package

        package()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    assert torchao.quantization.pt2e.quantize_pt2e.prepare_pt2e


def nncf_ir(source: Path, samples: Array, out: Path) -> Work:
    """NNCF on OpenVINO's own files: asymmetric activations (MIXED), bias correction, every sample."""
    import nncf
    import openvino

    def work() -> None:
        network = openvino.Core().read_model(source)
        quantized = nncf.quantize(
            network, nncf.Dataset([one[None] for one in samples]), **nncf_options(samples)
        )
        openvino.save_model(quantized, out / "model.xml", compress_to_fp16=False)

    return work


def nncf_onnx(source: Path, samples: Array, out: Path) -> Work:
    """NNCF on ONNX, for ONNX Runtime."""
    import nncf
    import onnx

    def work() -> None:
        network = onnx.load(source)
        (given,) = network.graph.input
        feeds = nncf.Dataset([{given.name: one[None]} for one in samples])
        onnx.save(nncf.quantize(network, feeds, **nncf_options(samples)), out / "model.onnx")

    return work


def nncf_options(samples: Array) -> dict[str, Any]:
    import nncf

    return {
        "preset": nncf.QuantizationPreset.MIXED,
        "target_device": nncf.TargetDevice.CPU,
        "subset_size": len(samples),
        "fast_bias_correction": True,
    }


@dataclass
class Feeds:
    """Calibration pictures one by one, as ONNX Runtime asks for them."""

    name: str
    images: Iterator[Array]

    def get_next(self) -> dict[str, Array] | None:
        image = next(self.images, None)
        return None if image is None else {self.name: image[None]}

    def __iter__(self) -> Feeds:
        return self

    def __next__(self) -> dict[str, Array]:
        if (found := self.get_next()) is None:
            raise StopIteration
        return found


def ort_static(source: Path, samples: Array, out: Path) -> Work:
    """ONNX Runtime's: its own pre-processing, Q/DQ, weights per channel, uint8 activations; 7 bits without VNNI."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            ready = Path(folder) / "ready.onnx"
            quant_pre_process(source, ready)
            (given,) = onnxruntime.InferenceSession(ready, providers=["CPUExecutionProvider"]).get_inputs()
            quantize_static(
                ready,
                out / "model.onnx",
                Feeds(given.name, iter(samples)),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=not has_vnni(),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )

    return work


def has_vnni() -> bool:
    """Whether the processor adds up 8-bit products without saturating."""
    information = Path("/proc/cpuinfo")
    return information.is_file() and "vnni" in information.read_text()


def ai_edge(source: Path, samples: Array, out: Path) -> Work:
    """AI Edge's: full integer, static, per channel; ranges are the extremes.

    Its default, a moving average, forgets all but the last pictures, and saturates logits.
    """
    from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils, tfl_interpreter_utils

    def work() -> None:
        chosen, manager = recipe.static_wi8_ai8(), recipe_manager.RecipeManager()
        manager.load_quantization_recipe(chosen)
        content = source.read_bytes()
        (signature, given), *_ = (
            tfl_interpreter_utils.create_tfl_interpreter(content).get_signature_list().items()
        )
        feeds = [{given["inputs"][0]: one[None].transpose(0, 2, 3, 1).copy()} for one in samples]
        seen = calibrator.Calibrator(content, qsv_update_func=qsv_utils.min_max_update)
        seen.calibrate({signature: feeds}, manager)
        made = quantizer.Quantizer(content, chosen).quantize(seen.get_model_qsvs())
        made.export_model(str(out / "model.tflite"), overwrite=True)

    return work


METHODS: Mapping[str, Callable[[Path, Array, Path], Work]] = {
    **{f"float-{target}": edgekit_to(target, int8=False) for target in ("intel-cpu", "host", "android")},
    **{f"edgekit-{target}": edgekit_to(target, int8=True) for target in ("intel-cpu", "host", "android")},
    "nncf-ir": nncf_ir,
    "nncf-onnx": nncf_onnx,
    "ort-static": ort_static,
    "ai-edge": ai_edge,
}
DISTRIBUTION = {"nncf": "nncf", "ort": "onnxruntime", "ai": "ai-edge-quantizer"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", choices=sorted(METHODS))
    for name in ("source", "samples", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would report, over the network
    samples = np.load(given.samples, allow_pickle=False)
    given.out.mkdir(parents=True, exist_ok=True)
    work = METHODS[given.method](given.source, samples, given.out)
    began, worked = time.perf_counter(), time.process_time()
    work()
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    package = DISTRIBUTION.get(given.method.partition("-")[0])
    version = importlib.metadata.version(package) if package else ""
    told = {"seconds": round(seconds, 3), "processor_seconds": round(worked, 3), "version": version}
    print(f"\n{json.dumps(told)}")


if __name__ == "__main__":
    main()
