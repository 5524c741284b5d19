"""Figures of chains: where they went, how fast they forget, and whether they forgot their start."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.fft import irfft, next_fast_len, rfft
from scipy.stats import gaussian_kde

from jaxlatent.diagnostics import geweke as geweke_scores
from jaxlatent.plots._common import COLOURS, GREY, panels, parts, style
from jaxlatent.results import Result


def trace(result: Result, name: str) -> Figure:
    """Marginal densities by chain (left) and draws in their order (right), a row for each part of a parameter.

    Args:
        result: draws of one dataset.
        name: of a parameter or derived quantity.
    """
    labels, draws = parts(result, name)
    with style():
        size = (7.0, 0.6 + 1.05 * len(labels))
        figure, grid = plt.subplots(
            len(labels), 2, figsize=size, layout="constrained", squeeze=False, width_ratios=(1, 2)
        )
        for (density, order), label, part in zip(grid, labels, np.moveaxis(draws, 2, 0), strict=True):
            points = np.linspace(part.min(), part.max(), 200)
            for chain, colour in zip(part, _colours(len(part)), strict=True):
                if np.ptp(chain) > 0:
                    density.plot(points, gaussian_kde(chain)(points), color=colour)
                order.plot(chain, color=colour, linewidth=0.3, rasterized=True)
            density.set(yticks=[], ylim=(0, None))
            order.set_xlim(0, part.shape[1])
            order.set_title(label, loc="left")
            order.tick_params(labelbottom=label == labels[-1])
        grid[0, 0].set_title("density by chain", loc="left")
        grid[-1, 0].set_xlabel("value")
        grid[-1, 1].set_xlabel("draw")
    return figure


def autocorrelation(result: Result, name: str, max_lag: int = 40) -> Figure:
    """Autocorrelation by chain of each part of a parameter, with the band of independent draws (two standard errors).

    Args:
        result: draws of one dataset.
        name: of a parameter or derived quantity.
        max_lag: the longest lag.
    """
    labels, draws = parts(result, name)
    chains, length = draws.shape[:2]
    max_lag = min(max_lag, length - 1)
    centred = draws - draws.mean(1, keepdims=True)
    padded = next_fast_len(2 * length, real=True)
    products = irfft(np.abs(rfft(centred, padded, axis=1)) ** 2, padded, axis=1)[:, : max_lag + 1]
    with np.errstate(invalid="ignore"):
        correlations = products / products[:, :1]
    with style():
        figure, axes = panels(len(labels), columns=4)
        for ax, label, part in zip(axes, labels, np.moveaxis(correlations, 2, 0), strict=True):
            ax.axhspan(-2 / np.sqrt(length), 2 / np.sqrt(length), color=GREY, alpha=0.3, linewidth=0)
            for chain, colour in zip(part, _colours(chains), strict=True):
                ax.plot(chain, color=colour)
            ax.set_title(label, loc="left")
        figure.supxlabel("lag (draws)", fontsize="medium")
        figure.supylabel("autocorrelation", fontsize="medium")
    return figure


def geweke(result: Result, name: str, intervals: int = 15) -> Figure:
    """Geweke's z-scores from each of several starting points on, by chain, with the band of two standard errors.

    About one score in twenty lies outside when the chains are stationary; see `jaxlatent.diagnostics.geweke`.

    Args:
        result: draws of one dataset.
        name: of a parameter or derived quantity.
        intervals: number of starting points.
    """
    labels, draws = parts(result, name)
    starts, scores = geweke_scores(draws, intervals)
    with style():
        figure, axes = panels(len(labels), columns=4)
        for ax, label, part in zip(axes, labels, np.moveaxis(np.asarray(scores), 2, 0), strict=True):
            ax.axhspan(-2, 2, color=GREY, alpha=0.25, linewidth=0)
            ax.axhline(0, color=GREY, linewidth=0.6)
            for chain, colour in zip(part, _colours(len(part)), strict=True):
                ax.plot(starts, chain, "o", color=colour, markersize=2.5)
            ax.set_title(label, loc="left")
        figure.supxlabel("first draw of the comparison", fontsize="medium")
        figure.supylabel("z-score, beginning against end", fontsize="medium")
    return figure


def _colours(chains: int) -> list[str]:
    return [COLOURS[chain % len(COLOURS)] for chain in range(chains)]
