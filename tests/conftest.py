"""What all tests share: programs that a machine may lack, and a report to show."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from edgekit.devices.web.runtimes import check_installed
from edgekit.errors import MissingError
from edgekit.report import ArtifactSummary, Latency, LayerRow, Parity, Report, Rival, Step

PROGRAMS = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "sshd": ("sshd",), "adb": ("adb",)}
"""A marker's name → programs, one of which its tests need."""
SERVERS = "/usr/sbin"
"""Where Debian installs servers: a user's PATH may not look there."""
FORBID_SKIPS = "EDGEKIT_FORBID_SKIPS"
"""Set to 1 where everything is installed (CI): a test that would be skipped fails."""


def program_of(marker: str) -> str | None:
    """The first of a marker's programs that is installed."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), SERVERS))
    return next((found for name in PROGRAMS[marker] if (found := shutil.which(name, path=path))), None)


def pytest_configure() -> None:
    """Ctrl-C ends the processes that tests start, also where a shell started these tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test by the name of the program that it lacks, or fail it where skips are forbidden."""
    for marker, programs in PROGRAMS.items():
        if item.get_closest_marker(marker) and program_of(marker) is None:
            reason = f"no {' or '.join(programs)} on this machine"
            if os.environ.get(FORBID_SKIPS) == "1":
                pytest.fail(f"{reason}, and {FORBID_SKIPS}=1", pytrace=False)
            pytest.skip(reason)
    if item.get_closest_marker("web") and (lacking := web_runtimes_lacking()):
        if os.environ.get(FORBID_SKIPS) == "1":
            pytest.fail(f"{lacking}, and {FORBID_SKIPS}=1", pytrace=False)
        pytest.skip(lacking)


def web_runtimes_lacking() -> str:
    """What of the browsers' runtimes is not installed; empty where all are."""
    try:
        check_installed()
    except MissingError as error:
        return error.what
    return ""


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser (the test carries the marker of the same name)."""
    return needed("chromium")


@pytest.fixture(scope="session")
def sshd_program() -> str:
    """The path of ssh's server (the test carries the marker `sshd`)."""
    return needed("sshd")


def needed(marker: str) -> str:
    """A marker's program, where its tests are not skipped."""
    path = program_of(marker)
    assert path is not None
    return path


@pytest.fixture(scope="session")
def report() -> Report:
    """A whole run as a Jetson user gets it, with one stage rolled back and names that a page must escape."""
    proxy = "proxy:onnxruntime on Intel(R) Xeon(R) Platinum 8581C CPU @ 2.10GHz"
    layers = mobilenetv2_layers()
    artifact = ArtifactSummary(
        path="runs/mobilenetv2-jetson-orin-nano/artifact/model.onnx",
        format="onnx",
        precision="int8",
        sha256="4d7c0f2f6f7f4e0f8f1f0b6a1f9e8d7c6b5a49382716051423324150617283ff",
        size_bytes=1_112_000,
        compressed_size_bytes=774_000,
        notes=("explicit Q/DQ, opset 19; TensorRT's rules were checked",),
        next_steps=("copy the artifact folder to the Jetson", "bash build_engine.sh"),
    )
    return Report(
        model={
            "name": "mobilenetv2",
            "input_shape": (1, 3, 64, 64),
            "task": "classification",
            "labels": ["<script>alert(1)</script>", "$x_1$ & co"],
            "width": 1.0,
        },
        target={
            "id": "jetson-orin-nano",
            "title": "NVIDIA Jetson Orin Nano 8 GB (Super mode)",
            "runtime": "tensorrt",
        },
        recipe={
            "id": "sparse-prune-int8",
            "budget": {"accuracy_drop": 1.0, "macs": 0.5},
            "stages": [{"kind": "sparsify", "pattern": "target"}, {"kind": "prune", "macs": 0.5}],
        },
        data={"name": "digits", "train": 1077, "validation": 360, "test": 360},
        seed=0,
        versions={"edgekit": "0.1.0", "python": "3.11.2", "torch": "2.13.0+cpu", "onnxruntime": "1.31.0"},
        steps=sample_steps(proxy),
        layers=layers,
        rivals=(
            Rival(
                name="INT8, pruned",
                precision="int8",
                latency_ms=Latency(p50=0.34, p90=0.39, source=proxy),
                val_accuracy=0.9814,
                size_bytes=1_112_000,
                shipped=True,
            ),
            Rival(
                name="float, pruned",
                precision="fp32",
                latency_ms=Latency(p50=0.61, p90=0.70, source=proxy),
                val_accuracy=0.9861,
                size_bytes=4_010_000,
                shipped=False,
                why="the target runs INT8; a proxy rejects nothing",
            ),
        ),
        parity=Parity(
            runtime="onnxruntime",
            sqnr_db=41.3,
            top1_agreement=1.0,
            samples=64,
            integer_operators_in_file=53,
            integer_operators_executed=53,
            executed_by="openvino",
            weighted_operators=53,
        ),
        artifact=artifact,
        profile={
            "device": "Intel(R) Xeon(R)",
            "runtime": "onnxruntime",
            "threads": 1,
            "samples_ns": [340_000] * 40,
            "p50_ms": 0.34,
            "p90_ms": 0.39,
            "p99_ms": 0.44,
            "executed": {
                "integer_operators": 53,
                "float_operators": 0,
                "operators": {"QLinearConv": 52, "QGemm": 1},
            },
            "before": {"facts": {"governor": "unknown"}},
        },
        warnings=("demonstration data (handwritten digits): give your own with --data DIR",),
        command=("edgekit", "compress", "mobilenetv2", "--target", "jetson", "--seed", "0"),
    )


def sample_steps(source: str) -> tuple[Step, ...]:
    """Baseline to export; the figures are those of a real network, the accuracies are invented."""

    def step(
        stage: str,
        reason: str,
        network: tuple[int, int],
        *,
        size: int,
        val: float,
        p50: float,
        kept: bool = True,
        test: float | None = None,
        fidelity: float | None = None,
    ) -> Step:
        params, macs = network
        return Step(
            stage=stage,
            kept=kept,
            reason=reason,
            seconds=12.5,
            params=params,
            macs=macs,
            memory_access_bytes=params * 4 + macs // 8,
            size_bytes=size,
            compressed_size_bytes=size * 9 // 10,
            val_accuracy=val,
            accuracy=test,
            fidelity_db=fidelity,
            latency_ms=Latency(p50=p50, p90=p50 * 1.15, source=source),
            details={
                "pattern": "2:4",
                "layers": {"features.18.0": "2:4", "features.17.conv.2": "2:4"},
                "share": 0.4987,
            },
        )

    full, half = (2_236_682, 25_543_680), (1_003_210, 12_601_344)
    return (
        step(
            "baseline",
            "trained on the demonstration data",
            full,
            size=8_990_000,
            val=0.9889,
            p50=0.98,
            test=0.9861,
        ),
        step(
            "sparsify",
            "2:4 on 34 layers, compressed size −31 %",
            full,
            size=8_990_000,
            val=0.9870,
            p50=0.98,
            fidelity=18.2,
        ),
        step(
            "prune", "49.3 % of the baseline's MACs", half, size=4_010_000, val=0.7410, p50=0.61, fidelity=3.1
        ),
        step("recover", "accuracy +24.5 points", half, size=4_010_000, val=0.9861, p50=0.61, fidelity=15.7),
        step(
            "recover",
            "accuracy fell by 0.3 points against the step before",
            half,
            size=4_010_000,
            val=0.9833,
            p50=0.62,
            kept=False,
            fidelity=15.1,
        ),
        step(
            "quantize",
            "size -72.3 %; speed unmeasured",
            half,
            size=1_112_000,
            val=0.9814,
            p50=0.34,
            fidelity=15.2,
        ),
        step(
            "export",
            "the file that ships",
            half,
            size=1_112_000,
            val=0.9814,
            p50=0.34,
            test=0.9806,
            fidelity=15.2,
        ),
    )


def mobilenetv2_layers(size: int = 64) -> tuple[LayerRow, ...]:
    """The weighted layers of MobileNetV2 at `size`×`size`, counted from the paper's table (t, c, n, s)."""
    rows: list[LayerRow] = []

    def add(
        name: str, operator: str, kernel: int, inputs: int, outputs: int, side: int, *, groups: int = 1
    ) -> None:
        params = kernel * kernel * inputs // groups * outputs
        rows.append(
            LayerRow(
                name=name,
                operator=operator,
                output_shape=(1, outputs, side, side),
                params=params,
                macs=params * side * side,
                memory_access_bytes=4 * (params + (inputs + outputs) * side * side),
                receptive_field=(3, 3),
                sparsity="2:4" if operator == "conv 1x1" and inputs >= 96 else None,
            )
        )

    side, channels, place = size // 2, 32, 1
    add("features.0.0", "conv 3x3", 3, 3, 32, side)
    for expand, outputs, repeats, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for repeat in range(repeats):
            hidden, name = channels * expand, f"features.{place}.conv"
            if expand > 1:
                add(f"{name}.0.0", "conv 1x1", 1, channels, hidden, side)
            side = side // stride if repeat == 0 else side
            add(f"{name}.1.0", "depthwise 3x3", 3, hidden, hidden, side, groups=hidden)
            add(f"{name}.2", "conv 1x1", 1, hidden, outputs, side)
            channels, place = outputs, place + 1
    add("features.18.0", "conv 1x1", 1, channels, 1280, side)
    add("classifier.1", "linear", 1, 1280, 10, 1)
    return tuple(rows)
