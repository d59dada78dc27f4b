"""Times of operators as a runner gives them, and of layers as people read them."""

from __future__ import annotations

import html
import json
import re
from typing import cast

import pytest

from edgekit.bench.layers import Timed, of_engine, timed
from edgekit.devices import Answer, Failure
from edgekit.measurement import Profile
from edgekit.pipeline.profiling import Measured
from edgekit.report import LayerTime, LayerTimes, Report
from edgekit.report_html import render
from edgekit.report_text import layer_time_row, layer_times_line


def answer(walls: list[int], *operators: list[float]) -> dict[str, object]:
    return {
        "version": "1.0",
        "clock_ns": 1,
        "samples_ns": walls,
        "operators": [
            {"name": f"op{place}", "kind": "Conv", "parts": [], "times_ns": times}
            for place, times in enumerate(operators)
        ],
    }


def test_an_interrupted_inference_says_nothing() -> None:
    """Of eight inferences the two fastest and the two slowest are left out; means are of the same four."""
    walls = [100, 101, 102, 103, 104, 105, 106, 9000]
    first = [10.0, 10, 20, 30, 40, 50, 60, 8000]
    found = timed(answer(walls, first, [1.0] * 8))
    assert (found.inferences, found.inference_ns) == (4, (102 + 103 + 104 + 105) / 4)
    assert [operator.time_ns for operator in found.operators] == [35, 1]


def test_a_runtime_that_keeps_means_gives_means() -> None:
    found = timed(answer([100, 200, 600], [150.0], [40.0]))
    assert (found.inferences, found.inference_ns) == (3, 300)
    assert [operator.time_ns for operator in found.operators] == [150, 40]


def layer_times() -> LayerTimes:
    """15 % of the MACs and 40 % of the time, side by side."""
    return LayerTimes(
        source="measured:some CPU",
        runtime="openvino",
        runtime_version="2026.4",
        threads=2,
        inferences=50,
        rows=(
            LayerTime(
                name="features.0 <stem>",
                operators=("Convolution",),
                time_ns=400_000,
                macs=150_000,
                memory_access_bytes=2_000,
            ),
            LayerTime(
                name="features.1 + add",
                operators=("Convolution", "Add"),
                time_ns=500_000,
                macs=850_000,
                memory_access_bytes=3_000,
            ),
            LayerTime(name="(beside the operators)", operators=(), time_ns=100_000),
        ),
    )


def engine(**kept: str) -> Answer:
    return Answer(
        {"version": "10.3.0"}, kept={f"model.{name}.json": text.encode() for name, text in kept.items()}
    )


def test_an_engine_s_inference_is_the_sum_of_its_layers() -> None:
    layers = [{"count": 20}, {"name": "a", "averageMs": 0.25}, {"name": "b", "averageMs": 0.5}]
    found = of_engine(engine(profile=json.dumps(layers)))
    assert isinstance(found, Timed)
    assert (found.inference_ns, found.inferences) == (750_000, 20)


@pytest.mark.parametrize(
    ("answered", "said"), [(engine(), "left no profile"), (engine(profile="[]"), "names no layer")]
)
def test_an_engine_that_tells_nothing_is_a_failure(answered: Answer, said: str) -> None:
    found = of_engine(answered)
    assert isinstance(found, Failure)
    assert said in found.reason


def test_only_what_ran_counts_as_measured() -> None:
    times, moved = layer_times(), LayerTime(name="features.9", operators=(), time_ns=0, macs=1)
    rows = (*times.rows, times.rows[0], moved)
    latency = cast("Profile", None)
    found = Measured(latency, {}, times.model_copy(update={"rows": rows})).times_ns
    assert found == {"features.0 <stem>": 800_000, "features.1 + add": 500_000}
    assert layer_time_row(moved, times)[4:6] == ("–", "–")


def test_shares_stand_beside_the_figures() -> None:
    times = layer_times()
    assert (times.total_ns, times.macs) == (1_000_000, 1_000_000)
    assert layer_time_row(times.rows[0], times) == (
        *("features.0 <stem>", "150.0 k", "15.0 %", "2.00 kB", "0.400 ms", "40.0 %", "Convolution"),
    )
    assert layer_time_row(times.rows[2], times)[1:4] == ("–", "–", "–")
    assert layer_times_line(times) == (
        "1.000 ms an inference under the profiler, mean of 50: measured:some CPU, openvino 2026.4, 2 threads"
    )


def test_the_page_has_a_plot_and_a_table_of_them(report: Report) -> None:
    without = render(report)
    assert "Time of each layer" not in without
    page = render(report.model_copy(update={"layer_times": layer_times()}))
    plot = re.search(r'<svg[^>]*aria-labelledby="layer-times-title.*?</svg>', page, re.DOTALL)
    assert plot is not None
    drawn = html.unescape(plot.group())
    for value in ("0.400 ms", "0.500 ms", "features.0 <stem>", "of the time", "of the MACs"):
        assert value in drawn, value
    assert "40 % of the time and 15 % of the MACs" in drawn
    table = page.partition("Table of the time of each layer")[2].partition("</details>")[0]
    assert "features.0 &lt;stem&gt;" in table
    for value in ("15.0 %", "40.0 %", "Convolution, Add", "measured:some CPU", "2.00 kB"):
        assert value in table, value


def test_a_report_keeps_them(report: Report) -> None:
    kept = report.model_copy(update={"layer_times": layer_times()})
    assert Report.model_validate_json(json.dumps(kept.model_dump(mode="json"))).layer_times == layer_times()


@pytest.mark.parametrize("total", [0, 1])
def test_a_share_of_nothing_is_a_dash(total: int) -> None:
    times = layer_times()
    rows = tuple(row.model_copy(update={"time_ns": float(total), "macs": None}) for row in times.rows)
    shares = layer_time_row(rows[0], times.model_copy(update={"rows": rows}))
    assert (shares[2], shares[5]) == ("–", "33.3 %" if total else "–")
