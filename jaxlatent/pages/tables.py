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
    columns = [_cells(shown.iloc[:, i]) for i in range(shown.shape[1])]
    rows = [Html(f"<tr>{''.join(cells)}</tr>") for cells in zip(_row_heads(shown.index), *columns, strict=True)]
    heads = [element("th", text("" if name is None else name), scope="col") for name in frame.index.names]
    heads += [
        element("th", text(name), scope="col", class_="number" if _is_number(dtype) else None)
        for name, dtype in frame.dtypes.items()
    ]
    head = element("tr", *heads)
    made = element("table", element("caption", *said), element("thead", head), element("tbody", *rows))
    tall = "block tall" if len(shown) > _ROWS else "block"
    # A block that scrolls must be reachable by the keyboard.
    return element("div", made, class_=tall, role="region", aria_label=caption, tabindex="0")


def _row_heads(index: pd.Index) -> list[Html]:
    """The header cells of each row, one a level."""
    labels = list(index) if index.nlevels > 1 else [(label,) for label in index]
    return [Html("".join(element("th", text(part), scope="row") for part in label)) for label in labels]


def _cells(column: pd.Series) -> list[Html]:
    """The cells of a column."""
    values = column.tolist()
    if not _is_number(column.dtype):
        return [element("td", prose(value)) for value in values]
    # Without a call for each of many: digits need no escape.
    return [Html(f'<td class="number">{number(value, column.name)}</td>') for value in values]


def _is_number(dtype: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(dtype))


def number(value: Any, column: Any = "") -> str:
    """A value as a table shows it: numbers in the digits of the ``column``, whole ones and text as they are, NaN as a dash."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if np.isnan(value):
        return "\N{EN DASH}"
    return format(value, _FORMATS.get(column, _DIGITS) if isinstance(column, str) else _DIGITS)
