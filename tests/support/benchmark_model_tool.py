"""What stands for `benchmark_model` on a test's phone: it runs the file in LiteRT and prints what the tool prints.

`python benchmark_model_tool.py [v1|v1-old|v2] [hang|kill|garbage|broken] -- FLAGS`: `v1` is TensorFlow Lite's tool,
`v1-old` a build of it without percentiles, `v2` LiteRT's; a flag that the flavour lacks ends it.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Callable

COMMON = {
    "num_runs": "50", "min_secs": "1", "max_secs": "150", "run_delay": "-1", "num_threads": "-1",
    "warmup_runs": "1", "warmup_min_secs": "0.5", "verbose": "false", "report_peak_memory_footprint": "false",
    "graph": "",
}  # fmt: skip
FLAGS = {
    "v1": COMMON | {"use_xnnpack": "false", "use_gpu": "false", "enable_op_profiling": "false", "allow_fp16": "false"},
    "v2": COMMON | {"use_cpu": "true", "use_gpu": "false", "use_npu": "false", "allow_fp16": "true",
                    "result_file_path": "", "use_profiler": "false"},
}  # fmt: skip
FLAGS["v1-old"] = {name: value for name, value in FLAGS["v1"].items() if name != "allow_fp16"}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(words: list[str], given: list[str]) -> int:
    flavour = next((word for word in words if word in FLAGS), "v1")
    known = FLAGS[flavour]
    if given == ["--help"]:
        rows = "".join(f"\t--{name}={value}\tstring\toptional\tof {name}\n" for name, value in known.items())
        sys.stderr.write(f"ERROR: usage: benchmark_model <flags>\nFlags:\n{rows}\n")
        return 1
    flags = dict(known)
    for word in given:
        name, equals, value = word.removeprefix("--").partition("=")
        if name not in known or not equals:
            sys.stderr.write(f"WARN: Unconsumed cmdline flags: {word}\n")
            return 1
        flags[name] = value
    if "hang" in words:
        time.sleep(1000)
    if "kill" in words:
        os.kill(os.getpid(), signal.SIGKILL)
    if "garbage" in words:
        sys.stdout.write("INFO: STARTING!\nINFO: count=5 first=\nSegmentation fau")
        return 0
    return run(flavour, flags)


def run(flavour: str, flags: dict[str, str]) -> int:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    started = time.perf_counter()
    try:
        interpreter = Interpreter(model_path=flags["graph"], num_threads=int(flags["num_threads"]))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError):
        sys.stderr.write(f"ERROR: Failed to load model {flags['graph']}\n")
        return 1
    (tensor,) = interpreter.get_input_details()
    interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
    init_us = (time.perf_counter() - started) * 1e6
    nodes = [node["op_name"] for node in interpreter._get_ops_details()]
    kernels, operators = nodes.count("DELEGATE"), len(nodes) - nodes.count("DELEGATE")
    say(f"INFO: Loaded model {flags['graph']}")
    if flavour == "v2":
        say(
            f"INFO: Replacing {operators} out of {operators} node(s) with delegate (TfLiteXNNPackDelegate) node, "
            f"yielding {kernels} partitions for subgraph 0."
        )
    else:
        say(
            "INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed "
            "by the delegate."
        )
    warmup = repeat(interpreter.invoke, int(flags["warmup_runs"]), float(flags["warmup_min_secs"]))
    say(f"INFO: {line(warmup, flavour)}\n")
    times = repeat(
        interpreter.invoke, int(flags["num_runs"]), float(flags["min_secs"]), float(flags["max_secs"])
    )
    say(f"INFO: {line(times, flavour)}\n")
    sum_up(flavour, init_us, warmup, times)
    return 0


def repeat(invoke: Callable[[], None], runs: int, least: float, most: float = 150.0) -> list[int]:
    """Microseconds of single calls."""
    begin, found = time.perf_counter(), list[int]()
    while (len(found) < runs or time.perf_counter() - begin < least) and time.perf_counter() - begin <= most:
        start = time.perf_counter()
        invoke()
        found.append(round((time.perf_counter() - start) * 1e6))
    return found


def line(times: list[int], flavour: str) -> str:
    """The tool's statistics: `%g` for what is no integer, fewer fields where all are the same."""
    ordered = sorted(times)
    if len(set(times)) == 1:
        text = f"count={len(times)} curr={times[-1]}{'(all same)' if len(times) > 1 else ''}"
    else:
        text = (
            f"count={len(times)} first={times[0]} curr={times[-1]} min={ordered[0]} max={ordered[-1]} "
            f"avg={statistics.mean(times):g} std={statistics.pstdev(times):.0f}"
        )
    if flavour == "v1-old":
        return text
    places = {"p5": 5, "median": 50, "p95": 95}
    return " ".join([text, *(f"{name}={ordered[len(times) * at // 100]}" for name, at in places.items())])


def sum_up(flavour: str, init_us: float, warmup: list[int], times: list[int]) -> None:
    if flavour != "v2":
        say(
            f"INFO: Inference timings in us: Init: {init_us:.0f}, First inference: {warmup[0]}, "
            f"Warmup (avg): {statistics.mean(warmup):g}, Inference (avg): {statistics.mean(times):g}\n"
            "INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE\n"
            "INFO: Memory footprint delta from the start of the tool (MB): init=4.5 overall=6.25"
        )
        return
    where = "INFO: [benchmark_litert_model.h:78]"
    say(
        f"{where} \n========== BENCHMARK RESULTS ==========\n"
        f"{where} Model initialization: {init_us / 1e3:.2f} ms\n"
        f"{where} Warmup (first):       {warmup[0] / 1e3:.2f} ms\n"
        f"{where} Warmup (avg):         {statistics.mean(warmup) / 1e3:.2f} ms ({len(warmup)} runs)\n"
        f"{where} Inference (avg):      {statistics.mean(times) / 1e3:.2f} ms ({len(times)} runs)\n"
        f"{where} Inference (min):      {min(times) / 1e3:.2f} ms\n"
        f"{where} \nMemory Usage:\n{where} Init footprint:       4.50 MB\n{where} Overall footprint:    6.25 MB\n"
        f"{where} ======================================\n"
    )


if __name__ == "__main__":
    split = sys.argv.index("--")
    sys.exit(main(sys.argv[1:split], sys.argv[split + 1 :]))
