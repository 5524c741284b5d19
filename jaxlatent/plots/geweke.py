"""Figure of Geweke's diagnostic."""

import numpy as np
from matplotlib.figure import Figure

from jaxlatent.diagnostics import geweke as geweke_scores
from jaxlatent.plots._common import panels, parts
from jaxlatent.plots.style import COLOURS, GREY, colours_of, style
from jaxlatent.results.result import Result


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
            for i, (chain, colour) in enumerate(zip(part, colours_of(len(part)), strict=True)):
                ax.plot(starts, chain, "o", color=colour, markersize=2.5, label=f"chain {i}")
            ax.set_title(label)
        if len(draws) <= len(COLOURS):
            figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
        figure.supxlabel("first draw of the comparison", fontsize="medium")
        figure.supylabel("z-score, beginning against end", fontsize="medium")
    return figure
