"""What `benchmark_model` writes, in the formats of its builds; the texts are those of real ones, shortened."""

from __future__ import annotations

import pytest

from edgekit.devices.benchmark_model import UnknownOutputError, arguments, flags, read

V1_OLD = """STARTING!
Min num runs: [50]
Num threads: [4]
Loaded model /data/local/tmp/m.tflite
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
Explicitly applied XNNPACK delegate, and the model graph will be partially executed by \
the delegate w/ 22 delegate kernels.
The input model file size (MB): 0.541472
Initialized session in 18.738ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 180 seconds.
count=6 first=140706 curr=74599 min=74599 max=140706 avg=85791.2 std=24559

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 180 seconds.
count=50 first=74456 curr=74516 min=73909 max=75323 avg=74481.6 std=268

Inference timings in us: Init: 18738, First inference: 140706, Warmup (avg): 85791.2, Inference (avg): 74481.6
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE
Memory footprint delta from the start of the tool (MB): init=6.44141 overall=64.8633
"""
V1 = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
INFO: count=1 curr=905463 p5=905463 median=905463 p95=905463
INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=50 first=900416 curr=898333 min=898007 max=906121 avg=899641 std=1549 p5=898333 median=899281 p95=904305
INFO: Inference timings in us: Init: 614333, First inference: 905463, Warmup (avg): 905463, Inference (avg): 899641
"""
V2 = """INFO: Replacing 60 out of 66 node(s) with delegate (TfLiteXNNPackDelegate) node, \
yielding 5 partitions for subgraph 0.
INFO: count=12 first=5120 curr=4001 min=3990 max=5120 avg=4100.5 std=300 p5=3990 median=4010 p95=5120
INFO: count=180 first=4000 curr=4012 min=3980 max=4400 avg=4020.25 std=40 p5=3985 median=4011 p95=4090
INFO: [benchmark_litert_model.h:78]
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:80] Model initialization: 12.34 ms
INFO: [benchmark_litert_model.h:82] Warmup (first):       5.12 ms
INFO: [benchmark_litert_model.h:84] Warmup (avg):         4.10 ms (12 runs)
INFO: [benchmark_litert_model.h:86] Inference (avg):      4.02 ms (180 runs)
INFO: [benchmark_litert_model.h:100]
Memory Usage:
INFO: [benchmark_litert_model.h:105] Overall footprint:    31.50 MB
"""
HELP = """ERROR: usage: /data/local/tmp/benchmark_model <flags>
Flags:
\t--num_runs=50                 \tint32\toptional\texpected number of runs, see also min_secs, max_secs
\t--min_secs=1                  \tfloat\toptional\tminimum number of seconds, e.g. --max_secs
\t--num_threads=-1              \tint32\toptional\tnumber of threads
\t--graph=                      \tstring\toptional\tgraph file name
"""


def test_an_old_build_gives_a_mean() -> None:
    found = read(V1_OLD)
    assert (found.load_ns, found.first_ns, found.inference_ns) == (18_738_000, 140_706_000, 74_481_600)
    assert (found.statistic, found.inferences, found.p95_ns) == ("mean", 50, None)
    assert found.delegation == {"delegate": "XNNPACK", "delegated": "partially", "partitions": "22"}
    assert found.memory_growth_mb == 64.8633


def test_a_newer_build_gives_a_median() -> None:
    found = read(V1)
    assert (found.load_ns, found.first_ns, found.inference_ns) == (614_333_000, 905_463_000, 899_281_000)
    assert (found.statistic, found.inferences, found.p95_ns) == ("median", 50, 904_305_000)
    assert found.delegation == {"delegate": "XNNPACK", "delegated": "completely", "partitions": "1"}
    assert found.memory_growth_mb is None


def test_litert_s_own_tool_sums_up_in_milliseconds() -> None:
    found = read(V2)
    assert (found.load_ns, found.first_ns, found.inference_ns) == (12_340_000, 5_120_000, 4_011_000)
    assert (found.statistic, found.inferences, found.p95_ns) == ("median", 180, 4_090_000)
    assert found.delegation == {
        "delegate": "XNNPACK",
        "partitions": "at most 5",
        "delegated": "60 of 66",
        "fell_back": "6",
    }
    assert found.memory_growth_mb == 31.5


@pytest.mark.parametrize("text", [V1_OLD, V1, V2])
def test_a_terminal_s_lines_and_logcat_s_prefixes_read_alike(text: str) -> None:
    logged = "".join(f"I tflite  : {line.removeprefix('INFO: ')}\n" for line in text.splitlines())
    assert read(logged).inference_ns == read(text).inference_ns


def test_a_delegate_that_took_nothing_is_told() -> None:
    refused = (
        "Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate."
    )
    found = read(
        V1.replace("Explicitly applied XNNPACK delegate, and the model graph will be completely", refused)
    )
    assert found.delegation == {"delegate": "none", "delegated": "nothing: XNNPACK took no operator"}


def test_a_silent_log_leaves_the_delegate_unknown() -> None:
    assert read(V2.partition("\n")[2]).delegation == {"delegate": "unknown", "delegated": "unknown"}


def test_inferences_that_all_took_as_long() -> None:
    line = "count=50 curr=7(all same) p5=7 median=7 p95=7"
    text = "\n".join(line if "count=50" in one else one for one in V1.splitlines())
    assert read(text).inference_ns == 7000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "INFO: STARTING!\nINFO: count=5 first=\nSegmentation fau",
        V1.replace("Inference timings in us", "Timings"),
        V1.replace("count=50", "count=0"),
        V1.replace("INFO: count=1 ", "INFO: "),
        V1.replace("count=50", "count=many"),
        V1 + V1,
        V1_OLD.replace("Inference (avg): 74481.6", "Inference (avg): nan"),
    ],
)
def test_what_holds_no_timings_is_refused(text: str) -> None:
    with pytest.raises(UnknownOutputError):
        read(text)


def test_only_flags_that_the_build_has_are_given() -> None:
    known = flags(HELP)
    assert known == {"num_runs", "min_secs", "num_threads", "graph"}
    given = arguments(known, "/data/x y", threads=4, runs=20, seconds={"warmup": 0.3, "min": 0.7, "max": 3})
    assert given == ["--graph=/data/x y", "--num_threads=4", "--num_runs=20", "--min_secs=0.7"]


def test_what_would_change_the_result_unasked_is_set() -> None:
    known = frozenset(("use_xnnpack", "allow_fp16", "use_gpu", "use_npu", "use_cpu", "result_file_path"))
    given = arguments(known, "m", threads=1, runs=1, seconds={"warmup": 0, "min": 0, "max": 1})
    assert sorted(given) == [
        "--allow_fp16=false", "--use_cpu=true", "--use_gpu=false", "--use_npu=false", "--use_xnnpack=true",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "sh: can't execute: Permission denied", "usage: tool --graph=FILE"])
def test_another_program_is_no_benchmark_model(text: str) -> None:
    assert flags(text) == frozenset()
