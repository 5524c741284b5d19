"""Shared parts of figures: panels, and the scalar parts of a parameter with labels."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.results.result import Result
from jaxlatent.results.summary import labels


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
