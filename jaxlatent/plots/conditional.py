"""Figures of conditional predictions: densities, draws by component, curves of components, calibration."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import binom

from jaxlatent.plots._common import axes_or_new
from jaxlatent.plots.style import COLOURS, GREY, colours_of, legend, style
from jaxlatent.results.conditional import Conditional


def density_map(conditional: Conditional, x: ArrayLike, y: ArrayLike, ax: Axes | None = None) -> Axes:
    """The predictive density as a heat map: dark where an observation is likely.

    Args:
        conditional: at the inputs ``x``, of one dataset and one lane.
        x: ``(rows,)``, increasing.
        y: ``(G,)``, increasing.
        ax: where to draw; a new figure by default.
    """
    with style():
        ax = axes_or_new(ax)
        mesh = ax.pcolormesh(
            np.asarray(x),
            np.asarray(y),
            np.sqrt(conditional.density(np.asarray(y, float)).T),
            cmap="Blues",
            shading="auto",
        )
        mesh.set_rasterized(True)
        ax.set(xlabel="x", ylabel="y")
    return ax


def labelled_draws(
    x: ArrayLike, values: ArrayLike, labels: ArrayLike, ax: Axes | None = None, size: float = 4.0
) -> Axes:
    """Points coloured by their component.

    Args:
        x: inputs.
        values: draws.
        labels: of the components, from 0; all of one shape.
        ax: where to draw, without a legend; a new figure by default.
        size: of a point.
    """
    x, values, labels = (np.ravel(np.asarray(one)) for one in (x, values, labels))
    with style():
        own, ax = ax is None, axes_or_new(ax)
        for k, colour in enumerate(colours_of(int(labels.max(initial=0)) + 1)):
            mine = labels == k
            ax.plot(x[mine], values[mine], ".", color=colour, markersize=size, mew=0, alpha=0.6, label=f"component {k}")
        ax.set(xlabel="x", ylabel="y")
        if own:
            legend(ax)
    return ax


def component_bands(conditional: Conditional, x: ArrayLike, ax: Axes | None = None, deviations: float = 2.0) -> Axes:
    """The mean of each component against the input, with a band of standard deviations, fainter for small weights.

    Args:
        conditional: at the inputs ``x``, of one dataset and one lane.
        x: ``(rows,)``, increasing.
        ax: where to draw, without a legend; a new figure by default.
        deviations: half the width of the band.
    """
    x = np.asarray(x)
    parts = conditional.components()
    with style():
        own, ax = ax is None, axes_or_new(ax)
        for k, colour in enumerate(colours_of(parts.weights.shape[-1])):
            mean, off = parts.means[:, k], deviations * parts.scales[:, k]
            for i in range(len(x) - 1):
                weight = float(parts.weights[i : i + 2, k].mean())
                two = slice(i, i + 2)
                ax.fill_between(x[two], (mean - off)[two], (mean + off)[two], color=colour, alpha=0.3 * weight, lw=0)
                ax.plot(x[two], mean[two], color=colour, alpha=0.1 + 0.9 * weight, lw=1.5)
            ax.fill_between([], [], [], color=colour, label=f"component {k}")
        ax.set(xlabel="x", ylabel="y")
        if own:
            legend(ax)
    return ax


def component_curves(conditional: Conditional, x: ArrayLike) -> Figure:
    """Mixing weights, scales and means of all components against the input, a panel each.

    Args:
        conditional: at the inputs ``x``, of one dataset and one lane.
        x: ``(rows,)``, increasing.
    """
    parts = conditional.components()
    with style():
        figure: Figure
        figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.9), layout="constrained")
        for ax, (name, curves) in zip(axes, parts._asdict().items(), strict=True):
            for k, colour in enumerate(colours_of(curves.shape[-1])):
                ax.plot(np.asarray(x), curves[:, k], color=colour, label=f"component {k}")
            ax.set(title=name, xlabel="x")
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=4)
    return figure


def pit(values: ArrayLike, bins: int = 20, ax: Axes | None = None) -> Axes:
    """A histogram of probability integral transforms, flat within the 99% band if predictions are calibrated.

    Args:
        values: in [0, 1], as `Conditional.pit` gives.
        bins: of the histogram.
        ax: where to draw; a new figure by default.
    """
    values = np.ravel(np.asarray(values))
    low, high = binom.ppf([0.005, 0.995], len(values), 1 / bins)
    with style():
        ax = axes_or_new(ax, 4.0, 2.8)
        ax.axhspan(low, high, color=GREY, alpha=0.25, lw=0, label="99% of calibrated bars")
        ax.axhline(len(values) / bins, color=GREY)
        ax.hist(values, np.linspace(0, 1, bins + 1).tolist(), color=COLOURS[0], edgecolor="white", linewidth=0.5)
        tallest = max(high, ax.get_ylim()[1])
        ax.set(
            xlabel="predicted probability of less than observed", ylabel="rows", xlim=(0, 1), ylim=(0, 1.25 * tallest)
        )
        ax.legend(loc="upper center")
    return ax
