"""Figure of the objectives that restarts reached."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from jaxlatent.errors import InputError
from jaxlatent.plots._common import axes_or_new
from jaxlatent.plots.style import COLOURS, GREY, legend, style
from jaxlatent.results.result import Result
from jaxlatent.status import has_failed


def restarts(result: Result, within: float = 1.0, ax: Axes | None = None) -> Axes:
    """How far below the best each restart ended, sorted, with a line a dataset and the band within which restarts agree.

    The vertical axis is linear in the band and logarithmic below it. Failed restarts are left out.

    Args:
        result: of an engine that optimises, with several restarts.
        within: nats; restarts that end so near to the best agree with it, see `Result.agreeing`.
        ax: where to draw; a new figure by default.

    Raises:
        InputError: for other results.
    """
    if result.engine.kind == "chains" or np.ndim(result.objective) < (1 if result.names is None else 2):
        raise InputError(
            "restarts(result)",
            got=f"chains of {result.provenance.engine}" if result.engine.kind == "chains" else "the best restart alone",
            expected="all restarts of an engine that optimises",
            remedy="draw plots.chains(result) for chains, or use the result before `best()`.",
        )
    ended = np.where(has_failed(result.status), np.nan, result.objective).reshape(-1, result.objective.shape[-1])
    below = np.sort(np.nanmax(np.where(np.isfinite(ended), ended, -np.inf), -1, keepdims=True) - ended, -1)
    with style():
        ax = axes_or_new(ax)
        ax.axhspan(0, within, color=GREY, alpha=0.2, lw=0, label=f"within {within:g} nat{'' if within == 1 else 's'}")
        few, names = len(below) <= len(COLOURS), result.names
        for i, one in enumerate(below):
            colour, label = COLOURS[i if few else 0], str(names[i]) if few and names else "_"
            (line,) = ax.plot(np.arange(1, len(one) + 1), one, "o-", markersize=3, color=colour, label=label)
            line.set(alpha=None if few else max(0.05, 8 / len(below)), rasterized=not few)
        ax.set_yscale("symlog", linthresh=within)
        worst = np.max(below, initial=within, where=np.isfinite(below))
        ax.set(xlabel="restart, best first", ylabel="nats below the best", ylim=(2 * worst, -0.1 * within))
        ax.set_xlim(0.5, below.shape[1] + 0.5)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend(ax)
    return ax
