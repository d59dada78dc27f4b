"""Chromium, driven over its DevTools pipe: pages opened, looked at and waited for."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-extensions",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-pipe",
)


SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--enable-features=Vulkan", "--use-webgpu-adapter=swiftshader")
"""WebGPU computed on the processor."""


class DevToolsError(Exception):
    """The browser did not do what it was told."""


class Browser:
    """Chromium, spoken to in the DevTools protocol over its pipe: JSON messages that end in a zero byte."""

    def __init__(self, program: str, profile: Path, *flags: str) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        common = [flag for flag in FLAGS if not (flags == SOFTWARE_GPU and flag == "--disable-gpu")]
        arguments = [program, *common, *flags, f"--user-data-dir={profile}", "about:blank"]
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
        self._target = ""
        self.tab()

    def tab(self, **where: str) -> None:
        """Another tab, which is the one that is spoken to from now on."""
        self._session = ""
        self._target = self.call("Target.createTarget", url="about:blank", **where)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.events.clear()

    def fresh(self) -> None:
        """A tab that shares nothing with others: no cookies, no caches, no workers."""
        self._session = ""
        self.tab(browserContextId=self.call("Target.createBrowserContext")["browserContextId"])

    @property
    def place(self) -> tuple[str, str]:
        """The tab that is spoken to; set it to go back to one."""
        return self._target, self._session

    @place.setter
    def place(self, place: tuple[str, str]) -> None:
        self._target, self._session = place

    def close_tab(self) -> None:
        """Close the tab that is spoken to, as its user does."""
        self.call("Page.close")
        self._session = ""

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
        if "error" in answer:
            raise DevToolsError(f"{method}: {answer['error']}")
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

    def visit(self, url: str) -> None:
        """Begin to load a page as on a phone, 360×740."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True
        )
        self.events.clear()
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, a promise's where it is one."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> Any:
        """Wait until an expression is true in the page, and give it; events that come meanwhile are kept."""
        deadline = time.monotonic() + seconds
        while not (value := self._tried(expression)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{expression} is {value!r} after {seconds} s in:\n{self.text()}")
            time.sleep(0.1)
        return value

    def _tried(self, expression: str) -> Any:
        """Nothing where the page goes to another one meanwhile."""
        try:
            return self.evaluate(expression)
        except DevToolsError:
            return None

    def text(self) -> str:
        """What the page shows."""
        return str(self.evaluate("document.body?.innerText"))

    def requests(self) -> list[str]:
        """What was asked for since the page was opened."""
        self.evaluate("0")  # events come before its answer
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def complaints(self) -> list[str]:
        """What the page wrote to its console, and what went wrong in it."""
        self.evaluate("0")
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in kinds]

    def press(self, key: str, code: int) -> None:
        """Press a key and let it go."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def choose(self, selector: str, path: Path) -> None:
        """Choose a file in an input."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({selector!r})")
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=found["result"]["objectId"])

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def kill(self) -> None:
        """End the browser without a word, as a phone whose battery is empty ends it."""
        os.kill(self._pid, signal.SIGKILL)
        os.close(self._out)
        os.close(self._in)
        os.waitpid(self._pid, 0)

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
