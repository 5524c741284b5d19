"""Shared figures of the gallery: intervals with the truth, and causal graphs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from jaxlatent.plots.style import COLOURS

#: Style of the truth in figures.
TRUTH = {"color": COLOURS[1], "zorder": 3}


def intervals(ax: Axes, draws: Mapping[str, ArrayLike], truth: Sequence[float] | ArrayLike, quantity: str) -> None:
    """Draw medians with central intervals of 94% (thin) and 50% (thick), one per row, and the true values.

    Args:
        ax: where to draw.
        draws: by label.
        truth: one for each, shown as a vertical line.
        quantity: name of the horizontal axis.
    """
    for row, (values, true) in enumerate(zip(draws.values(), np.asarray(truth), strict=True)):
        low, lower, middle, upper, high = np.quantile(np.asarray(values), [0.03, 0.25, 0.5, 0.75, 0.97])
        first = row == 0
        ax.hlines(row, low, high, color=COLOURS[0], linewidth=1)
        ax.hlines(row, lower, upper, color=COLOURS[0], linewidth=3.5)
        label = "posterior median, 50% and 94%" if first else "_"
        ax.plot(middle, row, "o", color=COLOURS[0], markerfacecolor="white", markersize=5, label=label)
        ax.vlines(true, row - 0.3, row + 0.3, linewidth=2, label="truth" if first else "_", **TRUTH)
    ax.set_yticks(range(len(draws)), list(draws))
    ax.set_ylim(len(draws) - 0.4, -0.6)
    ax.set_xlabel(quantity)


def graph(ax: Axes, places: Mapping[str, tuple[float, float]], arrows: Mapping[tuple[str, str], float]) -> None:
    """Draw a causal graph, with true effects next to the arrows.

    Args:
        ax: where to draw.
        places: of the variables.
        arrows: true effects by (cause, consequence).
    """
    for name, (x, y) in places.items():
        ax.text(x, y, name, ha="center", va="center", fontsize=11, bbox={"boxstyle": "circle,pad=0.45", "fc": "white"})
    for (cause, consequence), effect in arrows.items():
        start, end = np.array(places[cause]), np.array(places[consequence])
        ax.annotate(
            "",
            places[consequence],
            places[cause],
            arrowprops={"arrowstyle": "-|>", "color": "black", "shrinkA": 15, "shrinkB": 15},
        )
        along = (end - start) / np.hypot(*(end - start))
        x, y = (start + end) / 2 + 0.22 * np.array([-along[1], along[0]]) * (1 if along[0] >= 0 else -1)
        ax.text(x, y, f"{effect:g}".replace("-", "\N{MINUS SIGN}"), ha="center", va="center", color=COLOURS[1])
    spots = np.array(list(places.values()))
    (left, bottom), (right, top) = spots.min(0) - 0.4, spots.max(0) + 0.4
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.axis("off")
