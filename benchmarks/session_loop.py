"""ONNX Runtime as its own documentation calls it: `python benchmarks/session_loop.py model.onnx THREADS INFERENCES`.

It prints the median of an inference in milliseconds. It loads nothing but what it needs, as edgekit's
own processes do: what else a process has loaded moves the median.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import onnxruntime

WARMUP = 20


def main(model: str, threads: int, runs: int) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    feed = {given.name: np.random.default_rng(0).standard_normal(given.shape).astype(np.float32)}
    times = []
    for _ in range(WARMUP + runs):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    print(float(np.median(times[WARMUP:])) * 1e3)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
