"""Figure of the objective of an optimisation against the iteration."""

import numpy as np
from matplotlib.axes import Axes

from jaxlatent.errors import InputError
from jaxlatent.plots._common import axes_or_new
from jaxlatent.plots.style import COLOURS, colours_of, legend, style
from jaxlatent.results.result import Result


def elbo(result: Result, ax: Axes | None = None, label: str = "ELBO (nats)") -> Axes:
    """The objective of each lane against the iteration; the vertical range is that of the second half, with margins.

    Args:
        result: of one dataset, with a trace.
        ax: where to draw; a new figure by default.
        label: of the objective.

    Raises:
        InputError: if the result has no trace, or several datasets.
    """
    if result.trace is None or result.names is not None:
        raise InputError(
            "elbo(result)",
            got="no trace" if result.trace is None else f"{len(result.names or ())} datasets",
            expected="a fit of one dataset by an engine that optimises",
            remedy="fit with such an engine, for instance EM, and pick a dataset as in result[name].",
        )
    with style():
        ax = axes_or_new(ax)
        tails = []
        for lane, (history, colour) in enumerate(zip(result.trace, colours_of(len(result.trace)), strict=True)):
            history = history[np.isfinite(history)]
            ax.plot(np.arange(1, len(history) + 1), history, color=colour, label=f"lane {lane}")
            tails.append(history[len(history) // 2 :])
        seen = np.concatenate(tails)
        if seen.size:
            low, high = np.quantile(seen, [0.005, 0.995])
            room = max(high - low, 1e-3 * max(abs(high), 1.0))
            ax.set_ylim(low - 2 * room, high + 0.5 * room)
        ax.set(xlabel="iteration", ylabel=label)
        if 1 < len(result.trace) <= len(COLOURS):
            legend(ax)
    return ax
