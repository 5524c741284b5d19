"""Data frames as HTML tables: captions, headers with a scope, numbers in the digits of their kind, and blocks that scroll."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from jaxlatent.pages.html import Html, code, element, prose, text

#: The most cells of a table: about a megabyte.
_CELLS = 60_000
#: More rows than these scroll in a block of their own.
_ROWS = 16
_DIGITS = ".4g"
#: Formats of columns whose digits are not those of estimates: nats, of which differences count, and diagnostics.
_FORMATS: Mapping[Any, str] = {
    **dict.fromkeys(("objective", "below best", "aic", "bic", "icl", "log_likelihood", "change"), ".2f"),
    **dict.fromkeys(("nats", "nats_se", "bits", "bits_se", "difference", "difference_se", "occupancy"), ".4f"),
    **dict.fromkeys(("ess_bulk", "ess_tail", "least ess"), ".0f"),
    **dict.fromkeys(("r_hat", "largest r_hat"), ".3f"),
    **dict.fromkeys(("mcse_mean", "mcse_sd"), ".2g"),
    "seconds": ".2f",
}


def table(frame: pd.DataFrame, caption: str, source: str = "") -> Html:
    """A table with a row a row of ``frame``, whose index is the header of the rows.

    Args:
        frame: with named index levels, of text and numbers; NaN is shown as a dash.
        caption: what it shows.
        source: the expression that gives these numbers, shown with the caption.
    """
    shown = frame.iloc[: max(1, _CELLS // max(1, frame.shape[1]))]
    said = [text(caption)]
    if len(shown) < len(frame):
        said.append(text(f" (the first {len(shown):,} of {len(frame):,} rows)"))
    if source:
        said += [text(" "), code(source)]
    heads = [*frame.index.names, *frame.columns]
    labels = [index if isinstance(index, tuple) else (index,) for index in shown.index]
    columns = [[number(value, name) for value in shown[name].tolist()] for name in shown.columns]
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    classes = ["number" if is_number else None for is_number in numeric]
    rows = [
        element(
            "tr",
            *(element("th", text(label), scope="row") for label in own),
            *(element("td", prose(cell), class_=kind) for cell, kind in zip(cells, classes, strict=True)),
        )
        for own, cells in zip(labels, zip(*columns, strict=True) if columns else [()] * len(labels), strict=True)
    ]
    head = element(
        "tr",
        *(
            element("th", text("" if name is None else name), scope="col", class_=kind)
            for name, kind in zip(heads, [*[None] * frame.index.nlevels, *classes], strict=True)
        ),
    )
    made = element("table", element("caption", *said), element("thead", head), element("tbody", *rows))
    tall = "block tall" if len(shown) > _ROWS else "block"
    # A block that scrolls must be reachable by the keyboard.
    return element("div", made, class_=tall, role="region", aria_label=caption, tabindex="0")


def number(value: Any, column: Any = "") -> str:
    """A value as a table shows it: numbers in the digits of the ``column``, whole ones and text as they are, NaN as a dash."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if np.isnan(value):
        return "\N{EN DASH}"
    return format(value, _FORMATS.get(column, _DIGITS) if isinstance(column, str) else _DIGITS)
