"""A headless Chromium, told what to do over its debugging pipe: a page as a person opens it."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Debian's headless build first: it needs no display.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: In a container there is no sandbox for root, and little shared memory.
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")


def find() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Tab:
    """A tab, to which commands of the DevTools protocol are sent.

    Attributes:
        events: what the browser reported so far.
    """

    def __init__(self, sends: int, receives: int) -> None:
        self._sends, self._receives = sends, os.fdopen(receives, "rb", closefd=False)
        self._count, self._session, self.events = 0, None, []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def send(self, method: str, **params: Any) -> Any:
        """Send a command, and wait for what it returns."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": params}
        os.write(
            self._sends, json.dumps(command | ({"sessionId": self._session} if self._session else {})).encode() + b"\0"
        )
        while (message := self._next()).get("id") != self._count:
            self.events.append(message)
        assert "error" not in message, message
        return message["result"]

    def open(self, file: Path, width: int, height: int = 900, **media: str) -> None:
        """Open a file in a window of that size, with CSS media features such as ``prefers-color-scheme``."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        self.send("Page.navigate", url=file.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _next(self) -> Any:
        text = bytearray()
        while (byte := self._receives.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        return json.loads(text)


@contextmanager
def opened(program: str, profile: Path) -> Iterator[Tab]:
    """A browser with one tab, ended with the block.

    Args:
        program: its path.
        profile: a folder for what it keeps.
    """
    above: list[int] = []
    for end in (*os.pipe(), *os.pipe()):
        # The browser reads commands from 3 and writes answers to 4, which the ends themselves must not be.
        above.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(end)
    reads, sends, receives, writes = above
    silent = os.open(os.devnull, os.O_RDWR)
    files = [
        (os.POSIX_SPAWN_DUP2, given, number) for given, number in ((silent, 1), (silent, 2), (reads, 3), (writes, 4))
    ]
    arguments = [program, *OPTIONS, f"--user-data-dir={profile}"]
    process = os.posix_spawn(program, arguments, dict(os.environ), file_actions=files)
    for end in (silent, reads, writes):
        os.close(end)
    try:
        yield Tab(sends, receives)
    finally:
        os.close(sends)  # it ends when its pipe is closed
        os.waitpid(process, 0)
        os.close(receives)
