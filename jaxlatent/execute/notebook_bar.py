"""The progress of a fit in a notebook: a bar that is replaced in the output of its cell, and needs no widgets."""

import importlib
import time
from collections.abc import Callable
from html import escape
from typing import Any


def notebook_bar(label: str, total: int) -> Callable[[int, str], None]:
    """Show a bar below the running cell, and return what moves it.

    Args:
        label: name of the model and engine.
        total: records that each lane will emit.
    """
    # There is one where there is a notebook.
    display: Any = importlib.import_module("IPython.display").display
    began = time.monotonic()

    def shown(done: int, note: str) -> dict[str, str]:
        line = f"{label}: {done:,}/{total:,}, {time.monotonic() - began:.1f} s {note}".rstrip()
        bar = f'<progress value="{done}" max="{total}"></progress>'
        return {"text/plain": line, "text/html": f"<div>{bar} <small>{escape(line)}</small></div>"}

    handle = display(shown(0, "compiling"), raw=True, display_id=True)
    return lambda done, note: handle.update(shown(done, note), raw=True)
