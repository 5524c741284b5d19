"""Intervals of parameters, one below the other."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from jaxlatent.plots._common import COLOURS, axes_or_new, parts, style
from jaxlatent.results import Result


def forest(results: Result | Mapping[str, Result], name: str, prob: float = 0.94, ax: Axes | None = None) -> Axes:
    """Medians with central intervals of ``prob`` (thin) and one half (thick), a row for each part of a parameter.

    Args:
        results: draws of one dataset, or several of them by label, to be compared.
        name: of a parameter or derived quantity that all of them have.
        prob: of the thin interval.
        ax: where to draw; a new figure by default.
    """
    several = results if isinstance(results, Mapping) else {"": results}
    drawn = {label: parts(result, name) for label, result in several.items()}
    labels = next(iter(drawn.values()))[0]
    levels = [(1 - prob) / 2, 0.25, 0.5, 0.75, (1 + prob) / 2]
    offsets = 0.6 * ((np.arange(len(drawn)) + 0.5) / len(drawn) - 0.5)
    with style():
        ax = axes_or_new(ax, 6.0, 1.0 + max(0.3, 0.16 * len(drawn)) * len(labels))
        rows = np.arange(len(labels))
        for (label, (_, draws)), offset, colour in zip(drawn.items(), offsets, COLOURS, strict=False):
            low, lower, middle, upper, high = np.quantile(draws, levels, axis=(0, 1))
            ax.hlines(rows + offset, low, high, color=colour, linewidth=1)
            ax.hlines(rows + offset, lower, upper, color=colour, linewidth=3)
            ax.plot(middle, rows + offset, "o", color=colour, markerfacecolor="white", markersize=4, label=label)
        ax.set_yticks(rows, labels)
        ax.invert_yaxis()
        ax.set_xlabel(f"{name}: median, 50% and {100 * prob:.3g}% intervals")
        if len(drawn) > 1:
            ax.figure.legend(loc="outside upper center", ncols=min(len(drawn), 3))
    return ax
