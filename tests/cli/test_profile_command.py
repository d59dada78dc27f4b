"""`edgekit profile|evaluate|export`: what others read, what people read, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgekit.cli.app import app
from edgekit.measurement import DeviceState, Executed, Profile
from edgekit.pipeline import evaluating, profiling
from edgekit.pipeline.evaluating import Evaluation
from edgekit.pipeline.profiling import CostProfile
from edgekit.report import LayerTime, LayerTimes


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def measured() -> Profile:
    """A hundred samples in two processes."""
    state = DeviceState(facts={"governor": "unknown"})
    return Profile(
        device="some CPU",
        runtime="onnxruntime",
        runtime_version="1.31",
        threads=2,
        blocks_ns=((1_000_000,) * 50, (2_000_000,) * 50),
        warmup_ns=((9_000_000,),) * 2,
        load_ns=(1, 1),
        executed=Executed(
            operators={"QLinearConv": 52}, integer_operators=52, float_operators=1, float_precision="f32"
        ),
        before=state,
        after=state,
        source="proxy",
    )


def test_the_static_side_of_a_network() -> None:
    result = run("profile", "mobilenetv2", "--input-size", "64", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert {"params", "macs", "memory_access_bytes", "receptive_field", "layers", "latency"} <= set(document)
    assert document["params"] == 3_504_872
    assert document["macs"] == sum(layer["macs"] for layer in document["layers"])
    assert document["latency"] is None
    oblong = json.loads(run("profile", "squeezenet1.1", "--input-size", "48x96", "--json").stdout)
    assert oblong["input_shape"] == [1, 3, 48, 96]
    grey = json.loads(
        run("profile", "mobilenetv2", "--factory-arg", "in_channels=1", "--json").stdout
    )  # the stem reads a third as much
    assert grey["input_shape"] == [1, 1, 224, 224]
    assert document["params"] - grey["params"] == 32 * 2 * 9
    table = run("profile", "mobilenetv2", "--input-size", "64", "--layers").stdout
    assert "3.5 M" in table
    assert "depthwise 3x3" in table


def test_a_measured_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "profile", lambda *_, **__: CostProfile("x", None, measured()))
    text = run("profile", "somewhere").stdout
    assert "p50 1.500 ms, p90 2.000 ms" in text
    assert "proxy:onnxruntime on some CPU" in text
    assert "52 in int8, 1 in f32" in text
    assert "half within 0.500 ms of the median" in text
    assert "first inference 9.00 ms" in text
    assert "steady" in text
    latency = json.loads(run("profile", "somewhere", "--json").stdout)["latency"]
    assert latency["p50_ms"] == 1.5
    assert len(latency["samples_ns"]) == 100


def test_the_time_of_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    times = LayerTimes(
        source="measured:some CPU",
        runtime="openvino",
        runtime_version="2026.4",
        threads=2,
        inferences=50,
        rows=(
            LayerTime(name="stem", operators=("Convolution",), time_ns=4e5, macs=15, memory_access_bytes=2),
            LayerTime(name="head", operators=("MatMul",), time_ns=6e5, macs=85, memory_access_bytes=3),
        ),
    )
    asked: list[object] = []

    def answered(*_: object, layers: bool, **__: object) -> CostProfile:
        asked.append(layers)
        return CostProfile("x", None, measured(), layer_times=times if layers else None)

    monkeypatch.setattr(profiling, "profile", answered)
    text = run("profile", "somewhere", "--layers").stdout
    for value in ("15.0 %", "40.0 %", "0.400 ms", "MatMul", "mean of 50", "openvino 2026.4"):
        assert value in text, value
    document = json.loads(run("profile", "somewhere", "--layers", "--json").stdout)
    assert [row["time_ns"] for row in document["layer_times"]["rows"]] == [4e5, 6e5]
    assert json.loads(run("profile", "somewhere", "--json").stdout)["layer_times"] is None
    assert "40.0 %" not in run("profile", "somewhere").stdout
    assert asked == [True, True, False, False]


def test_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Evaluation(
        "mobilenetv2", "int8", "litert", "local (a CPU)", "digits", 360, "IoU", 0.98056, {"f1": 0.99}, 41.26
    )
    monkeypatch.setattr(evaluating, "evaluate", lambda *_, **__: found)
    text = run("evaluate", "runs/x").stdout
    assert "98.06 %" in text
    assert "IoU" in text
    assert "99.00 %" in text
    assert "others" not in text
    assert "41.3 dB" in text
    document = json.loads(run("evaluate", "runs/x", "--json").stdout)
    assert (document["accuracy"], document["f1"], document["metric"]) == (0.98056, 0.99, "IoU")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("profile", "mobilenet2"), "mobilenetv2"),
        (("profile", "mobilenetv2", "--target", "jetsn"), "jetson"),
        (("profile", "mobilenetv2", "--input-size", "0"), "--input-size"),
        (("profile", "mobilenetv2", "--input-size", "64x"), "--input-size 64x is no size"),
        (("profile", "mobilenetv2", "--input-size", "64x16"), "below 17×17"),
        (("profile", "ghostnetv2", "--input-size", "32"), "--input-size 33"),
        (("profile", "mobilenetv2", "--input-size", "64x5000"), "5000 pixels wide"),
        (("evaluate", "nowhere"), "nowhere does not exist"),
        (("export", "mobilenetv2", "--target", "host"), "--out"),
        (("export", "mobilenetv2", "--target", "host", "--out", "taken"), "taken exists already"),
        (("export", "mobilenet2", "--target", "host", "--out", "new"), "mobilenetv2"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").mkdir()
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert said in result.stderr
    assert not Path("new").exists()
