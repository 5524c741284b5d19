"""The progress line of a fit: live on a terminal and in a notebook, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jaxlatent.execute.notebook_bar import notebook_bar

#: Tells how many records of the total are done, and what is going on.
Report = Callable[[int, str], None]
#: Seconds from the start to the first plain line of a run, which shows that it goes on, and between later ones, which fill a log file.
_FIRST, _INTERVAL = 5.0, 60.0


@contextmanager
def progress_line(label: str, total: int, show: bool | None = None) -> Iterator[Report]:
    """A progress line, live where there is a terminal.

    Args:
        label: name of the model and engine.
        total: records that each lane will emit.
        show: None shows a live line on a terminal or in a notebook and nothing elsewhere; True prints plain lines elsewhere, one
            at once, one after seconds, and then one a minute; False shows nothing.
    """
    console = Console(file=sys.stderr)
    if show is not False and console.is_jupyter:
        yield notebook_bar(label, total)
        return
    if show is not False and console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.completed:>5.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as live:
            task = live.add_task(label, total=total, note="compiling")
            yield lambda done, note: live.update(task, completed=done, note=note)
        return
    if not show:
        yield lambda done, note: None
        return
    due = time.monotonic() + _FIRST
    last = ""

    def print_line(done: int, note: str) -> None:
        nonlocal due, last
        last = f"{label}: {done}/{total}, {note}"
        if time.monotonic() >= due:
            due = time.monotonic() + _INTERVAL
            write(last)
            last = ""

    def write(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    write(f"{label}: compiling")
    yield print_line
    if last:
        write(last)


def pace(steps: int, seconds: float) -> str:
    """The records that a lane emits in a second, as in "35 it/s"."""
    rate = steps / max(seconds, 1e-9)
    return f"{rate:,.0f} it/s" if rate >= 10 else f"{rate:.2g} it/s"


def about(seconds: float) -> str:
    """A time that is left, as in "about 3 min left"; nothing for less than a few seconds."""
    for unit, size in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {unit} left"
    return ""
