"""Pairs of the parts of a parameter."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from jaxlatent.plots._common import COLOURS, GREY, parts, style
from jaxlatent.results import Result


def pair(result: Result, name: str, points: int = 500) -> Figure:
    """Every pair of parts of a parameter: draws (below), histograms (on) and correlations (above the diagonal).

    Divergent draws, if there are any, are marked.

    Args:
        result: draws of one dataset.
        name: of a parameter or derived quantity.
        points: draws shown in each panel, spread evenly over all.
    """
    labels, draws = parts(result, name)
    flat = draws.reshape(-1, len(labels)).T
    correlations = np.atleast_2d(np.corrcoef(flat))
    shown = flat[:, np.linspace(0, flat.shape[1] - 1, min(points, flat.shape[1]), dtype=int)]
    divergent = flat[:, np.ravel(result.statistics.get("diverging", np.zeros(flat.shape[1], bool)))]
    count = len(labels)
    with style():
        size = 0.8 + 0.95 * count
        figure, grid = plt.subplots(count, count, figsize=(size, size), squeeze=False, layout="constrained")
        for i, j in np.ndindex(count, count):
            ax = grid[i, j]
            ax.set(xticks=[], yticks=[])
            if i < j:
                ax.text(0.5, 0.5, f"{correlations[i, j]:.2f}", ha="center", va="center", transform=ax.transAxes)
                ax.set_frame_on(False)
            elif i == j:
                ax.hist(flat[i], bins=30, color=COLOURS[0])
            else:
                ax.plot(shown[j], shown[i], ".", color=COLOURS[0], markersize=1.5, alpha=0.5, rasterized=True)
                ax.plot(divergent[j], divergent[i], "x", color=COLOURS[1], markersize=4)
            if i == count - 1:
                ax.set_xlabel(_part(labels[j], name))
            if j == 0:
                ax.set_ylabel(_part(labels[i], name))
        title = f"{name}: draws below, correlations above the diagonal"
        if divergent.size:
            title += f"; crosses: the {divergent.shape[1]} divergent draws"
        figure.suptitle(title, fontsize="medium", color="black" if not divergent.size else GREY)
    return figure


def _part(label: str, name: str) -> str:
    """``HS Grad`` of ``alpha[HS Grad]``."""
    return label.removeprefix(name).strip("[]") or name
