"""Figure of shrinkage: estimates of a hierarchical model and observed values."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from jaxlatent.plots.style import COLOURS, GREY, style


def shrinkage(
    observed: ArrayLike,
    draws: ArrayLike,
    labels: Sequence[str],
    population: float | None = None,
    quantity: str = "log odds",
    axes: tuple[Axes, Axes] | None = None,
) -> tuple[Axes, Axes]:
    """Observed values and posterior means with two standard deviations (upper panel), and their difference (lower panel).

    Args:
        observed: ``(len(labels),)``, estimates from the data alone.
        draws: ``(..., len(labels))``, posterior draws of the same quantities.
        labels: of the quantities.
        population: posterior mean of the population mean, shown as a dashed line.
        quantity: name of the vertical axes.
        axes: two to draw in, the upper one first; a new figure by default.
    """
    observed, draws = np.asarray(observed), np.asarray(draws).reshape(-1, len(labels))
    means, sds = draws.mean(0), draws.std(0, ddof=1)
    with style():
        if axes is None:
            layout = {"figsize": (5.5, 4.6), "layout": "constrained", "sharex": True, "height_ratios": (3, 2)}
            axes = tuple(plt.subplots(2, 1, **layout)[1])
        above, below = axes
        x = np.arange(len(labels))
        if population is not None:
            above.axhline(population, color=GREY, linestyle="--", label="population mean")
        above.errorbar(x + 0.1, means, 2 * sds, fmt="o", color=COLOURS[0], markersize=4, label="posterior mean ± 2 sd")
        above.plot(x - 0.1, observed, "o", color="black", markerfacecolor="white", markersize=4, label="observed")
        above.set_ylabel(quantity)
        above.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
        below.axhline(0, color="black", linewidth=0.6)
        below.errorbar(x, means - observed, 2 * sds, fmt="o", color=COLOURS[0], markersize=4)
        below.set_ylabel("posterior less observed")
        below.set_xticks(x, [label.replace(" ", "\n") for label in labels])
    return above, below
