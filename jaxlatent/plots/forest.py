"""Figure of the intervals of a parameter in several fits."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from jaxlatent.plots._common import axes_or_new, parts
from jaxlatent.plots.style import colours_of, legend, style
from jaxlatent.results.result import Result


def forest(results: Mapping[str, Result], name: str, prob: float = 0.94) -> Figure:
    """Intervals of a parameter or derived quantity in several fits: medians, with equal-tailed intervals of half and of most draws.

    Args:
        results: draws of one dataset, by label.
        name: of a parameter or derived quantity of all fits.
        prob: of the longer interval.

    Raises:
        InputError: for a fit without draws, of several datasets, or without such a name.
    """
    found = {label: parts(result, name) for label, result in results.items()}
    # A part has one row, also where fits have different ones.
    rows = list(dict.fromkeys(part for names, _ in found.values() for part in names))
    probs = [(1 - prob) / 2, 0.25, 0.5, 0.75, (1 + prob) / 2]
    with style():
        ax = axes_or_new(None, 6.0, 0.8 + 0.18 * len(rows) * (1 + len(found)))
        for i, ((label, (names, draws)), colour) in enumerate(zip(found.items(), colours_of(len(found)), strict=True)):
            y = np.array([rows.index(part) for part in names]) + 0.8 * ((i + 0.5) / len(found) - 0.5)
            low, lower, middle, upper, high = np.nanquantile(draws, probs, axis=(0, 1))
            ax.hlines(y, low, high, color=colour)
            ax.hlines(y, lower, upper, color=colour, linewidth=3.0)
            ax.plot(middle, y, "o", color=colour, markerfacecolor="white", markersize=4, label=label)
        ax.set_yticks(range(len(rows)), rows, parse_math=False)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set(xlabel=f"{name}: median, 50% and {100 * prob:g}%")
        legend(ax)
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure
