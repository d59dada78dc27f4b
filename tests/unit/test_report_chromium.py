"""The page in a real browser: no error, no request, everything visible, no sideways scrolling of the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Browser

from edgekit.report import Report
from edgekit.report_html import write_page

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(chromium, tmp_path_factory.mktemp("chromium"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def url(report: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    long = report.layers[5].model_copy(
        update={"name": "backbone.stages.3.blocks.11.mixer.token_projection." * 3}
    )
    page = report.model_copy(
        update={"layers": (*report.layers, long), "warnings": (*report.warnings, "x" * 400)}
    )
    return write_page(page, tmp_path_factory.mktemp("run")).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_the_page_opens_without_errors_and_fits(browser: Browser, url: str, width: int, scheme: str) -> None:
    browser.open(url, width=width, scheme=scheme)
    browser.evaluate("document.querySelectorAll('details').forEach(part => part.open = true), 0")
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    requests = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [request for request in requests if not request.startswith("data:")] == [url]
    complaints = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert [event for event in browser.events if event["method"] in complaints] == []


@pytest.mark.parametrize("width", [360, 1400])
def test_tables_and_plots_are_visible(browser: Browser, url: str, report: Report, width: int) -> None:
    browser.open(url, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(part => part.open = true), 0")
    assert browser.evaluate(
        "Array.from(document.querySelectorAll('table'), table => table.tBodies[0].rows.length)"
    ) == [len(report.steps), len(report.rivals), len(report.layers) + 1]
    boxes = browser.evaluate(
        "Array.from(document.querySelectorAll('svg'), plot => [plot.clientWidth, plot.clientHeight])"
    )
    assert len(boxes) == 3
    assert all(box[0] >= 0.85 * min(width, 600) and box[1] >= 200 for box in boxes)
    letters = "Array.from(document.querySelectorAll('svg text'), text => text.getBoundingClientRect())"
    assert browser.evaluate(f"Math.min(...{letters}.map(box => box.height))") >= 8


@pytest.mark.parametrize("width", [360, 1400])
def test_no_text_of_a_plot_is_cut_off(browser: Browser, url: str, width: int) -> None:
    browser.open(url, width=width)
    outside = browser.evaluate("""Array.from(document.querySelectorAll('svg')).flatMap(plot => {
        const whole = plot.getBoundingClientRect();
        return Array.from(plot.querySelectorAll('text')).filter(text => {
            const box = text.getBoundingClientRect();
            return box.left < whole.left - 1 || box.right > whole.right + 1
                || box.top < whole.top - 1 || box.bottom > whole.bottom + 1;
        }).map(text => text.textContent);
    })""")
    assert outside == []


def test_the_dark_scheme_is_dark(browser: Browser, url: str) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        browser.open(url, width=1400, scheme=scheme)
        grounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
        fills = "Array.from(document.querySelectorAll('svg text'), text => getComputedStyle(text).fill)"
        assert browser.evaluate(f"new Set({fills}).size") >= 2
    assert grounds == ["rgb(255, 255, 255)", "rgb(15, 19, 24)"]
