"""The page in a real browser: no error, no request, everything visible, no sideways scrolling of the page."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit.report import Report
from edgekit.report_html import write_page

pytestmark = pytest.mark.chromium
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-extensions",
    "--remote-debugging-pipe",
)


class Browser:
    """Chromium, spoken to in the DevTools protocol over its pipe: JSON messages that end in a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        arguments = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._pid = os.posix_spawn(
            program,
            arguments,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, to_browser, 3),
                (os.POSIX_SPAWN_DUP2, from_browser, 4),
                (os.POSIX_SPAWN_OPEN, 2, str(profile / "log"), os.O_WRONLY | os.O_CREAT, 0o600),
            ],
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._count, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer; events that come meanwhile are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        os.write(
            self._out,
            json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode() + b"\0",
        )
        while (answer := self._receive()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str, *, width: int, scheme: str = "light") -> None:
        """Load a page at a width, 900 pixels high, and wait until it is complete."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def close(self) -> None:
        """End the browser and wait for it."""
        self._session = ""
        self.call("Browser.close")
        os.close(self._out)
        os.close(self._in)
        os.waitpid(self._pid, 0)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            assert part, "the browser ended"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


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
