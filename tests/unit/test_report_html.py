"""The page: complete, escaped, self-contained, accessible, and the same bytes every time."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import pytest

from edgekit.report import Latency, Report
from edgekit.report_html import render, write_page


class Elements(HTMLParser):
    """The start tags of a page with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render(report)


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    return Elements(page)


def test_every_part_is_there(elements: Elements, report: Report) -> None:
    for text in (
        "Within budget",
        "8.1 times smaller",
        "rolled back",
        "accuracy fell by 0.3 points against the step before",
        "98.61 %",
        "41.3 dB SQNR over 64 inputs in onnxruntime",
        "53 of 53",
        report.artifact.sha256,
        "bash build_engine.sh",
        "features.17.conv.2",
        "2.13.0+cpu",
        "edgekit compress mobilenetv2 --target jetson --seed 0",
        *report.warnings,
    ):
        assert text in elements.text
    rows = len([tag for tag, _ in elements.tags if tag == "tr"])
    assert rows == 3 + len(report.steps) + len(report.rivals) + len(report.layers)


def test_the_same_report_gives_the_same_bytes_and_leaves_matplotlib_as_it_was(
    page: str, report: Report
) -> None:
    settings = dict(mpl.rcParams)
    assert render(report) == page
    assert dict(mpl.rcParams) == settings


def test_it_is_one_whole_file(tmp_path: Path, page: str, report: Report) -> None:
    assert write_page(report, tmp_path).read_text(encoding="utf-8") == page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_nothing_is_fetched_and_nothing_runs(page: str, elements: Elements) -> None:
    assert not elements.attributes("script")
    assert "http:" not in page
    assert "https:" not in page
    assert not re.findall(r"@import|url\((?!#)", page)
    assert all(
        (attributes.get("href") or "").startswith(("#", "data:,"))
        for attributes in elements.attributes("link")
    )
    assert not [
        name
        for _, attributes in elements.tags
        for name in attributes
        if name.startswith("on") or name == "src"
    ]


def test_input_is_escaped_in_text_and_in_plots(report: Report) -> None:
    evil = '"><img src=x onerror=alert(1)>$\\frac$&'
    layer = report.layers[3].model_copy(update={"name": evil, "operator": evil, "macs": 10**9})
    step = report.steps[2].model_copy(
        update={"stage": evil, "reason": evil, "details": {evil: {evil: [evil]}}}
    )
    elements = Elements(
        render(
            report.model_copy(
                update={
                    "model": {"name": evil},
                    "layers": (*report.layers, layer),
                    "steps": (*report.steps[:2], step, *report.steps[3:]),
                    "artifact": report.artifact.model_copy(
                        update={"path": evil, "notes": (evil,), "next_steps": (evil,)}
                    ),
                    "warnings": (evil,),
                    "budget_failures": (evil,),
                    "command": ("edgekit", evil),
                }
            )
        )
    )
    assert not elements.attributes("img")
    assert evil in elements.text


def test_headings_tables_and_plots_are_accessible(page: str, elements: Elements) -> None:
    levels = [int(tag[1]) for tag, _ in elements.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(elements.attributes("table")) == len(elements.attributes("caption")) == 3
    assert all(attributes.get("scope") in ("col", "row") for attributes in elements.attributes("th"))
    identifiers = Counter(value for _, attributes in elements.tags if (value := attributes.get("id")))
    assert max(identifiers.values()) == 1
    plots = elements.attributes("svg")
    assert len(plots) == 3
    for plot in plots:
        assert plot["role"] == "img"
        assert all(identifiers[name] == 1 for name in str(plot["aria-labelledby"]).split())
    references = re.findall(r'(?:href="#|url\(#)([^")]+)', page)
    assert set(references) <= set(identifiers)


def test_a_missed_budget_is_the_first_thing_said(report: Report) -> None:
    page = render(report.model_copy(update={"budget_failures": ("latency 3.1 ms, the budget is 2.0 ms",)}))
    assert "Within budget" not in page
    assert page.index("latency 3.1 ms, the budget is 2.0 ms") < page.index("Baseline to shipped file")


def test_without_accuracy_the_plot_shows_fidelity(report: Report) -> None:
    steps = tuple(step.model_copy(update={"accuracy": None, "val_accuracy": None}) for step in report.steps)
    page = render(report.model_copy(update={"steps": steps, "rivals": ()}))
    assert "fidelity to the float network (SQNR, dB)" in page
    assert "accuracy on the validation split" not in page


def test_without_latencies_and_layers_the_page_says_so(report: Report) -> None:
    steps = tuple(step.model_copy(update={"latency_ms": None, "details": {}}) for step in report.steps)
    elements = Elements(
        render(
            report.model_copy(
                update={
                    "steps": steps,
                    "rivals": (),
                    "layers": (),
                    "profile": None,
                    "parity": None,
                    "command": (),
                }
            )
        )
    )
    assert not elements.attributes("svg")
    assert "No step has both figures" in elements.text
    assert "The file was not run" in elements.text
    assert "To repeat this run" not in elements.text


def test_each_source_of_latency_is_named_at_the_axis(report: Report) -> None:
    moved = Latency(p50=0.3, p90=0.4, source="measured:Jetson Orin Nano")
    last = report.steps[-1].model_copy(update={"latency_ms": moved})
    plot = render(report.model_copy(update={"steps": (*report.steps[:-1], last)})).partition(
        '<desc id="tradeoff-desc">'
    )[2]
    axis = plot.partition("</desc>")[2].partition("</svg>")[0]
    assert ">measured:Jetson Orin Nano</text>" in axis
    assert ">proxy:onnxruntime on Intel(R) Xeon(R) Platinum 8581C CPU @ 2.10GHz</text>" in axis


def schemes() -> dict[str, dict[str, str]]:
    """The colours of the style sheet, by scheme."""
    style = (resources.files("edgekit.report_html") / "style.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    return {"light": light, "dark": dark}


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""

    def luminance(colour: str) -> float:
        parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_bars_stand_out(scheme: str) -> None:
    colours = schemes()[scheme]
    for ground in ("page", "panel"):
        for text in ("ink", "muted", "link", "good", "bad", "warn"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert all(contrast(colours[f"series-{place}"], colours["page"]) >= 3 for place in range(1, 5))


def test_operators_keep_their_colour_in_both_plots(report: Report) -> None:
    """Five kinds: the cheap ones share a colour, and a plot's legend names what it shows."""
    layer = report.layers[0].model_copy(update={"name": "", "operator": "mean", "macs": 0})
    page = render(report.model_copy(update={"layers": (*report.layers, layer)}))
    plots = [
        page.partition(f'<desc id="{name}-desc">')[2].partition("</svg>")[0]
        for name in ("macs", "memory-access")
    ]
    for plot in plots:
        for label in (">conv 1x1<", ">depthwise 3x3<", ">conv 3x3<", ">other<"):
            assert label in plot
        assert ">linear<" not in plot
    assert [">(mean)<" in plot for plot in plots] == [False, True]
