"""Shared parts of figures: colours, panels, and the scalar parts of a parameter with labels."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.results.result import Result
from jaxlatent.results.summary import labels

#: Okabe and Ito (2008): distinguishable with colour vision deficiencies and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY = "#7F7F7F"

_STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "legend.frameon": False,
    "lines.linewidth": 1.0,
}


def colours_of(number: int) -> list[Any]:
    """So many colours, for lines and labels that go together: the first of `COLOURS`, and of many an even part of a colour map."""
    if number <= len(COLOURS):
        return list(COLOURS[:number])
    return [tuple(colour) for colour in mpl.colormaps["viridis"](np.linspace(0, 1, number))]


@contextmanager
def style() -> Iterator[None]:
    """A context with the style of the package for new axes."""
    with mpl.rc_context(_STYLE):
        yield


def panels(count: int, columns: int, width: float = 2.3, height: float = 1.8) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` small panels with shared axes, row by row.

    Args:
        count: number of panels.
        columns: maximum number of columns.
        width: of a panel, in inches.
        height: of a panel, in inches.
    """
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    size = (max(4.5, width * columns), max(2.5, height * rows + 0.6))
    figure, grid = plt.subplots(
        rows, columns, sharex=True, sharey=True, figsize=size, layout="constrained", squeeze=False
    )
    axes = list(grid.ravel())
    for empty in axes[count:]:
        empty.remove()
    for above in axes[max(count - columns, 0) : count]:
        above.tick_params(labelbottom=True)
    return figure, axes[:count]


def axes_or_new(ax: Axes | None, width: float = 6.0, height: float = 3.6) -> Axes:
    """``ax``, or the axes of a new figure of that size in inches."""
    return ax if ax is not None else plt.subplots(figsize=(width, height), layout="constrained")[1]


def parts(result: Result, name: str) -> tuple[list[str], np.ndarray]:
    """The scalar parts of a parameter or derived quantity of one dataset.

    Returns:
        Labels, such as ``alpha[HS Grad]``, and draws ``(chain, draw, part)``.

    Raises:
        InputError: if there are no draws, several datasets, or no such name.
    """
    if not result.has_draws or result.names is not None:
        raise InputError(
            "a figure of draws",
            got="a point fit" if not result.has_draws else f"{len(result.names or ())} datasets",
            expected="draws of one dataset",
            remedy="pick a dataset, as in result[name], of a fit by an engine that draws.",
        )
    values = {**result.params, **result.derived}
    if name not in values:
        raise InputError(
            "a figure of draws",
            got=repr(name),
            expected=f"a name among {list(values)}",
            remedy=did_you_mean(name, values),
        )
    draws = np.asarray(values[name], float)
    return labels(result, name, values[name]), draws.reshape(*draws.shape[:2], -1)
