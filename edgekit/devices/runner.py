"""Run one job in this process: `python runner.py JOB.json`, with the standard library and numpy alone.

The job names a runtime's file and a model; `answer.json` appears beside it, whole or not at all. A job that takes
turns writes `ready` to stdout, then `done` after each turn that a line on stdin asks for; others write nothing there.
stderr carries `phase: ...` lines, so that whoever started this process knows how far it came if it dies. An exception
ends the process and is its answer: `{"error": ..., "missing": ...}`.
"""

from __future__ import annotations

import base64
import gc
import importlib.util
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType, TracebackType

Answer = dict[str, Any]


def main(job_path: Path) -> None:
    """Do the job; relative paths in it lie beside the job's file."""
    folder = job_path.resolve().parent
    job = json.loads(job_path.read_text(encoding="utf-8"))
    answer_path = folder / "answer.json"
    sys.excepthook = _answering(answer_path)
    modes: dict[str, Callable[[ModuleType, Answer, Path], Answer]] = {
        "latency": latency,
        "predict": predict,
        "probe": probe,
        "layers": layers,
    }
    phase("loading the runtime")
    runtime = load_runtime(folder / job["runtime"])
    told = modes[job["mode"]](runtime, job, folder)
    _write(answer_path, {**told, "version": runtime.version(), "numpy": np.__version__})


def latency(runtime: ModuleType, job: Answer, folder: Path) -> Answer:
    """Nanoseconds per inference; the input was set before, in the file's own layout and type."""
    batch = np.load(folder / "inputs.npy", allow_pickle=False)
    limits = job["limits"]
    cores = share_cores(job["threads"]) if "turn_seconds" in limits else []
    session, load_ns = _open(runtime, job, folder)
    session.feed(batch)
    timed = own_loop(session, limits) if hasattr(session, "measure") else single_calls(session, limits)
    _finite(session.result())
    phase("asking what ran")
    return {"load_ns": load_ns, "cores": cores, **timed, "executed": session.executed()}


def single_calls(session: Any, limits: dict[str, Any]) -> Answer:
    """Times of single calls of `invoke`, taken here."""
    phase("warming up")
    warmup = sample(session.invoke, limits["warmup_seconds"], float("inf"), 1)
    phase("measuring")
    gc.collect()
    gc.disable()
    invoke = slowed(session.invoke, limits["slowdown"]) if "slowdown" in limits else session.invoke
    if "turn_seconds" in limits:
        # The first call of a turn is left out: it finds another process's caches.
        turns = take_turns(lambda: sample(invoke, limits["turn_seconds"], float("inf"), 2)[1:])
    else:
        turns = [sample(invoke, limits["min_seconds"], limits["max_seconds"], limits["min_samples"])]
    gc.enable()
    return {
        "warmup_ns": warmup,
        **by_turn(turns),
        "clock_ns": clock_resolution_ns(),
        "peak_rss_bytes": peak_rss_bytes(),
    }


def own_loop(session: Any, limits: dict[str, Any]) -> Answer:
    """Times that a runtime's own loop took; each turn is a loop with a warm-up of its own."""
    if "slowdown" in limits:
        raise ValueError("this runtime times itself, so its inferences cannot be slowed down for a self-test")
    loops: list[Answer] = []

    def turn(seconds: float, count: int) -> list[int]:
        loops.append(session.measure(limits["warmup_seconds"], seconds, count))
        return list(loops[-1]["samples_ns"])

    if "turn_seconds" in limits:
        phase("warming up")
        turn(0, 1)
        phase("measuring")
        turns = take_turns(lambda: turn(limits["turn_seconds"], 2))
    else:
        phase("measuring")
        turns = [turn(limits["min_seconds"], limits["min_samples"])]
    return {
        "warmup_ns": [nanoseconds for loop in loops for nanoseconds in loop["warmup_ns"]],
        **by_turn(turns),
        "clock_ns": max(loop["clock_ns"] for loop in loops),
        "peak_rss_bytes": max(loop["peak_rss_bytes"] for loop in loops),
    }


def by_turn(turns: list[list[int]]) -> Answer:
    """All samples, and how many of them each turn gave."""
    return {
        "samples_ns": [nanoseconds for turn in turns for nanoseconds in turn],
        "turns": [len(turn) for turn in turns],
    }


def predict(runtime: ModuleType, job: Answer, folder: Path) -> Answer:
    """Outputs (n, ...) of inputs (n, C, H, W), as many at a time as the file takes; the last ones are repeated."""
    inputs = np.load(folder / "inputs.npy", mmap_mode="r", allow_pickle=False)
    session, load_ns = _open(runtime, job, folder)
    phase("predicting")
    size, last = job["batch"], len(inputs) - 1
    batches = (np.arange(i, i + size).clip(max=last) for i in range(0, len(inputs), size))
    outputs = np.concatenate([session.run(inputs[places]) for places in batches])[: len(inputs)]
    _finite(outputs)
    temporary = folder / "outputs.part.npy"
    np.save(temporary, outputs, allow_pickle=False)
    temporary.replace(folder / "outputs.npy")
    return {"load_ns": load_ns}


def probe(runtime: ModuleType, job: Answer, folder: Path) -> Answer:
    """Open and run the runtime's own tiny model, relu(x), and tell what it can do here."""
    model = folder / f"tiny.{runtime.FORMATS[-1]}"
    model.write_bytes(base64.b64decode(runtime.TINY_MODEL))
    session, load_ns = _open(runtime, {**job, "model": model.name, "options": {}}, folder)
    inputs = np.array([[[[-1, 2], [3, -4]]]], dtype=np.float32)
    outputs = session.run(inputs)
    if not np.array_equal(outputs, np.maximum(inputs, 0)):
        raise ArithmeticError(f"relu of {inputs.ravel().tolist()} came out as {outputs.ravel().tolist()}")
    return {"load_ns": load_ns, "precisions": runtime.precisions()}


def layers(runtime: ModuleType, job: Answer, folder: Path) -> Answer:
    """Nanoseconds per operator, in a session that keeps them: never the one that latency is measured in."""
    batch = np.load(folder / "inputs.npy", allow_pickle=False)
    limits = job["limits"]
    phase("opening the model")
    session = runtime.Profiled(str(folder / job["model"]), job["threads"], job["options"])
    session.feed(batch)
    phase("profiling")
    sample(session.invoke, limits["warmup_seconds"], limits["max_seconds"], 5)
    session.start()
    walls = sample(session.invoke, 0, limits["max_seconds"], int(limits["min_samples"]))
    return {"samples_ns": walls, "clock_ns": clock_resolution_ns(), "operators": session.operators()}


def sample(invoke: Callable[[], None], min_seconds: float, max_seconds: float, min_samples: int) -> list[int]:
    """Times of single calls, until both minima are reached, or `max_seconds`; at least one."""
    clock = time.perf_counter_ns
    samples: list[int] = []
    begin = clock()
    while True:
        start = clock()
        invoke()
        end = clock()
        samples.append(end - start)
        seconds = (end - begin) / 1e9
        if seconds >= max_seconds or (seconds >= min_seconds and len(samples) >= min_samples):
            return samples


def share_cores(count: int) -> list[int]:
    """Stay on the last `count` cores (where a processor has large ones, they are these), and say which.

    Processes that take turns share them: each on a core of its own, they would compare the cores.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0))[-count:]
    os.sched_setaffinity(0, cores)
    return cores


def take_turns(turn: Callable[[], list[int]]) -> list[list[int]]:
    """The samples of each turn that is asked for."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a runtime prints is no reply
    replies.write("ready\n")
    replies.flush()
    turns = []
    for _ in sys.stdin:
        turns.append(turn())
        replies.write("done\n")
        replies.flush()
    return turns


def slowed(invoke: Callable[[], None], share: float) -> Callable[[], None]:
    """A call that takes so much longer: how a gate is tested with a regression that is known."""
    clock = time.perf_counter_ns

    def call() -> None:
        start = clock()
        invoke()
        until = start + round((clock() - start) * (1 + share))
        while clock() < until:
            pass

    return call


def peak_rss_bytes() -> int:
    """The most memory that this process has held, runtime included.

    getrusage would give the larger one of this process and of its parent, whose peak a child inherits.
    """
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="utf-8").splitlines() if status.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # in KiB on Linux


def clock_resolution_ns() -> int:
    """The smallest step that the clock was seen to make."""
    clock = time.perf_counter_ns
    steps = [-clock() + clock() for _ in range(1000)]
    return min((step for step in steps if step > 0), default=0)


def phase(text: str) -> None:
    """Tell how far this process came."""
    sys.stderr.write(f"phase: {text}\n")
    sys.stderr.flush()


def _open(runtime: ModuleType, job: Answer, folder: Path) -> tuple[Any, int]:
    phase("opening the model")
    start = time.perf_counter_ns()
    session = runtime.Session(str(folder / job["model"]), job["threads"], job["options"])
    return session, time.perf_counter_ns() - start


def _finite(outputs: np.ndarray[Any, Any]) -> None:
    wrong = outputs.size - int(np.count_nonzero(np.isfinite(outputs)))
    if wrong:
        raise ArithmeticError(f"{wrong} of {outputs.size} outputs are not finite numbers")


def load_runtime(path: Path) -> ModuleType:
    """A runtime's file as a module; raises `ImportError` where it is no Python file."""
    spec = importlib.util.spec_from_file_location("edgekit_runtime", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write(path: Path, answer: Answer) -> None:
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8"
    ) as stream:
        json.dump(answer, stream)
    Path(stream.name).replace(path)


def _answering(
    answer_path: Path,
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """A last word for this process: whatever a runtime raised is written as the answer, and to stderr."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        _write(answer_path, {"error": f"{kind.__name__}: {error}", "missing": missing})
        traceback.print_exception(kind, error, trace)

    return hook


if __name__ == "__main__":
    main(Path(sys.argv[1]))
