"""One live line for a fit on a terminal; a plain line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@runtime_checkable
class Reporter(Protocol):
    """What the executor tells about a fit."""

    def update(self, done: int, note: str) -> None:
        """``done`` of the total, and what is going on."""
        ...


class Line:
    """A progress line, live where there is a terminal.

    Args:
        label: what is being fitted.
        total: records each lane will emit.
        show: None decides by the terminal: live on one, silent off it; True forces plain lines there.
    """

    #: Seconds between plain lines.
    interval = 10.0

    def __init__(self, label: str, total: int, show: bool | None = None):
        self.label, self.total, self.show = label, total, show
        self._console = Console(file=sys.stderr)
        self._live: Progress | None = None
        self._last = time.monotonic()

    def __enter__(self) -> "Line":
        if self.show is not False and self._console.is_terminal:
            self._live = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.completed:>5.0f}/{task.total:.0f}"),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[note]}"),
                console=self._console,
            )
            self._live.start()
            self._task = self._live.add_task(self.label, total=self.total, note="compiling")
        return self

    def update(self, done: int, note: str) -> None:
        """``done`` of the total, and what is going on."""
        if self._live is not None:
            self._live.update(self._task, completed=done, note=note)
        elif self.show and (time.monotonic() - self._last > self.interval or done >= self.total):
            self._last = time.monotonic()
            print(f"{self.label}: {done}/{self.total} {note}", file=sys.stderr, flush=True)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
