"""Figure of the chains of the parameters that mix worst."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import rankdata

from jaxlatent.diagnostics import rhat
from jaxlatent.errors import require
from jaxlatent.plots._common import parts
from jaxlatent.plots.style import COLOURS, GREY, colours_of, style
from jaxlatent.results.result import Result

_BINS = 20


def chains(result: Result, count: int = 4, figure: Figure | None = None) -> Figure:
    """Traces, and histograms of the ranks of each chain, of the parts of parameters with the largest R-hat.

    Ranks are those among the draws of all chains; where chains sample one distribution each histogram is flat (Vehtari et al. 2021,
    section 5.4). Ticks below a trace are divergences. Failed chains are left out.

    Args:
        result: chains of one dataset.
        count: the most parts that are drawn.
        figure: where to draw; a new one by default.

    Raises:
        InputError: for other results, several datasets, or where all chains failed.
    """
    own = [parts(result, name) for name in result.params]
    labels = [label for names, _ in own for label in names]
    draws = np.concatenate([values for _, values in own], -1)
    made = np.isfinite(draws).all((1, 2))
    require(
        result.engine.kind == "chains" and bool(made.any()),
        "plots.chains(result)",
        got=f"{made.sum()} of {len(made)} lanes of {result.provenance.engine} with draws",
        expected="Markov chains, one of which did not fail",
        remedy="see result.status.",
    )
    draws, lanes = draws[made], np.flatnonzero(made)
    worst = np.argsort(-np.nan_to_num(np.asarray(rhat(draws)), nan=-np.inf), kind="stable")[:count]
    diverging = np.asarray(result.statistics.get("diverging", np.zeros(made.shape)))[made]
    with style():
        figure = figure or plt.figure(layout="constrained")
        figure.set_size_inches(8.4, 0.6 + 1.5 * len(worst))
        colours = [colours_of(len(made))[lane] for lane in lanes]
        grid = figure.subplots(len(worst), 2, squeeze=False, width_ratios=(3, 2))
        for part, (trace, ranks) in zip(worst, grid, strict=True):
            values = draws[..., part]
            ordered = rankdata(values).reshape(values.shape)
            for lane, colour, one, rank, diverged in zip(lanes, colours, values, ordered, diverging, strict=True):
                trace.plot(one, color=colour, linewidth=0.5, alpha=0.8, rasterized=True, label=f"chain {lane}")
                if diverged.ndim:
                    where = np.flatnonzero(diverged)
                    trace.plot(where, np.full(len(where), values.min()), "|", color="black", rasterized=True)
                counts, edges = np.histogram(rank, _BINS, (0.5, values.size + 0.5))
                ranks.stairs(counts, edges, baseline=None, color=colour)
            ranks.axhline(values.shape[1] / _BINS, color=GREY, linewidth=0.6)
            trace.set_title(labels[part], parse_math=False)
            ranks.set_ylim(bottom=0)
        grid[-1, 0].set_xlabel("draw")
        grid[-1, 1].set_xlabel("rank among all draws")
        if len(lanes) <= len(COLOURS):
            handles = figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
            for line in handles.get_lines():
                line.set_linewidth(2.0)
    return figure
