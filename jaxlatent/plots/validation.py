"""Figure of a posterior predictive check by category and group."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from jaxlatent.errors import InputError
from jaxlatent.plots._common import axes_or_new
from jaxlatent.plots.style import colours_of, style


def validation(
    observed: ArrayLike,
    predicted: ArrayLike,
    labels: Sequence[str],
    groups: Sequence[str],
    probs: tuple[float, float] = (0.11, 0.89),
    quantity: str = "proportion",
    ax: Axes | None = None,
) -> Axes:
    """Observed values, and mean and two quantiles of their posterior predictive draws.

    Args:
        observed: ``(len(labels), len(groups))``.
        predicted: ``(..., len(labels), len(groups))``, leading with draws.
        labels: of the categories along the horizontal axis.
        groups: of the series.
        probs: of the quantiles.
        quantity: name of the vertical axis.
        ax: where to draw; a new figure by default.
    """
    observed, predicted = np.asarray(observed), np.asarray(predicted)
    if not observed.shape == predicted.shape[-2:] == (len(labels), len(groups)):
        raise InputError(
            "validation(observed, predicted, labels, groups)",
            got=f"shapes {observed.shape} and {predicted.shape}",
            expected=f"{(len(labels), len(groups))}, the latter after the axes of the draws",
            remedy="reshape both to (labels, groups).",
        )
    draws = predicted.reshape(-1, *observed.shape)
    means, (low, high) = draws.mean(0), np.quantile(draws, probs, axis=0)
    with style():
        ax = axes_or_new(ax, 6.5, 3.8)
        places = np.arange(len(labels))
        offsets = 0.24 * (np.arange(len(groups)) - (len(groups) - 1) / 2)
        for k, (group, offset, colour) in enumerate(zip(groups, offsets, colours_of(len(groups)), strict=True)):
            x = places + offset
            ax.vlines(x, low[:, k], high[:, k], color=colour, linewidth=5, alpha=0.35)
            ax.plot(x, means[:, k], "_", color=colour, markersize=9, markeredgewidth=1.5, label=f"{group}, predicted")
            ax.plot(x, observed[:, k], "o", color="black", markerfacecolor="white", markersize=4, label="observed")
        ax.set_xticks(places, [label.replace(" ", "\n") for label in labels])
        ax.set_ylabel(quantity)
        handles, names = ax.get_legend_handles_labels()
        unique = dict(sorted(zip(names, handles, strict=True), key=lambda entry: entry[0] == "observed"))
        title = f"predictive mean and {100 * probs[0]:.3g}% to {100 * probs[1]:.3g}% quantiles"
        ax.figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=len(unique), title=title)
    return ax
