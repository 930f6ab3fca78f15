"""A tab of Chromium that a test clicks and types in, by Chromium's own debugging pipe."""

import base64
import fcntl
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser import CHROMIUM

_WAIT_S = 30.0
# Nothing but the page itself asks for anything, and names lead to this machine only.
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--remote-debugging-pipe"),
)


class Tab:
    """A tab, and every address that its pages asked for.

    Args:
        write, read: file descriptors of the pipe.
    """

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._rest, self._number = write, read, b"", 0
        self.asked: list[str] = []
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "DOM", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": arguments}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("method") == "Network.requestWillBeSent":
                self.asked.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], _WAIT_S)[0], "the browser does not answer"
            self._rest += os.read(self._read, 1 << 20)
        text, self._rest = self._rest.split(b"\0", 1)
        return json.loads(text)

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the window's size in pixels, and what the user's system prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        self.ask("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression, as JSON gives it."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        """What is written in an element; nothing if it is not there."""
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + _WAIT_S
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)

    def wait_text(self, selector: str, part: str) -> str:
        """Wait until an element's text has a part, and return the text."""
        place = json.dumps(selector)
        self.wait(f"document.querySelector({place})?.innerText.includes({json.dumps(part)})")
        return self.text(selector)

    def upload(self, selector: str, files: list[Path]) -> None:
        """Choose files, as in the dialogue of an input."""
        document = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", files=[str(file) for file in files], nodeId=node)

    def slide(self, selector: str, value: float) -> None:
        """Move a slider to a place, as a hand does."""
        self.run(
            f"(() => {{ const slider = document.querySelector({json.dumps(selector)});"
            f"slider.value = {value!r};"
            "slider.dispatchEvent(new Event('input', {bubbles: true}));"
            "slider.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def screenshot(self, file: Path) -> None:
        """The whole page as a PNG file."""
        picture = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        file.write_bytes(base64.b64decode(picture))


@contextmanager
def browser_tab(profile: Path) -> Iterator[Tab]:
    """Start Chromium with a profile of its own.

    Args:
        profile: a folder to create.
    """
    assert CHROMIUM is not None
    (to_read, write), (read, to_write) = os.pipe(), os.pipe()
    # Chromium takes the pipe at the descriptors 3 and 4, which may be those of the pipe itself.
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, 10) for number in (to_read, to_write)]
    for number in (to_read, to_write):
        os.close(number)
    shell = 'exec "$0" "$@" 3<&{} 4>&{}'.format(*high)
    command = ["bash", "-c", shell, CHROMIUM, *_OPTIONS, f"--user-data-dir={profile}"]
    with subprocess.Popen(command, pass_fds=high, stderr=subprocess.DEVNULL) as process:
        for number in high:
            os.close(number)
        try:
            yield Tab(write, read)
        finally:
            process.terminate()
            os.close(write)
            os.close(read)
