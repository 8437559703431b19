"""Debian's Chromium, driven over its own DevTools protocol: enough of it to fill in a form and take
a picture.
"""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import websocket

# As root Chromium has no sandbox, and in a container little shared memory; the rest keeps it from
# calling home.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


def program() -> str | None:
    return shutil.which("chromium")


class PageGoneError(AssertionError):
    """The page that was asked went away before it answered, for another one."""


class Browser:
    """One tab."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=120)
        self._last = 0
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command's result. What the page complains about meanwhile (CSP, failed loads, scripts)
        is collected.
        """
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("method") == "Log.entryAdded":
                self.problems.append(message["params"]["entry"]["text"])
            if message.get("id") == self._last:
                if "error" in message:
                    gone = any(
                        word in message["error"]["message"] for word in ("navigated", "context")
                    )
                    raise PageGoneError(message) if gone else AssertionError(message)
                result: dict[str, Any] = message["result"]
                return result

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)[
            "result"
        ].get("value")

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + 120
        while not self._holds(expression):
            assert time.monotonic() < deadline, f"never came true in the browser: {expression}"
            time.sleep(0.05)

    def _holds(self, expression: str) -> bool:
        try:
            return bool(self.evaluate(expression))
        except PageGoneError:
            return False

    def appear(self, width: int, height: int, scheme: str) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def picture(self, file: Path) -> Path:
        file.write_bytes(
            base64.b64decode(
                self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            )
        )
        return file


@contextmanager
def browsing(chromium: str, folder: Path) -> Iterator[Browser]:
    process = subprocess.Popen(
        [chromium, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        message = folder / "DevToolsActivePort"
        deadline = time.monotonic() + 120
        # Two lines, the port and a path; then the tab appears, which may take a moment longer.
        while (
            not message.exists()
            or len(message.read_text().split()) < 2
            or not (tabs := _tabs(message))
        ):
            assert process.poll() is None, "Chromium ended at once"
            assert time.monotonic() < deadline, "Chromium never opened its port, or no tab"
            time.sleep(0.05)
        (tab,) = tabs
        yield Browser(tab["webSocketDebuggerUrl"])
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tabs(told: Path) -> list[dict[str, Any]]:
    with urlopen(
        f"http://127.0.0.1:{told.read_text().split()[0]}/json/list", timeout=60
    ) as response:
        return [target for target in json.load(response) if target["type"] == "page"]
