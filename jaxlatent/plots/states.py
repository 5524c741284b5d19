"""The figure of a GLM-HMM on one page: weights, psychometric curves, transitions, a session, occupancy and dwell times."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from jaxlatent.plots._hidden import hidden_of
from jaxlatent.plots.psychometric import Others, draw_psychometric
from jaxlatent.plots.state_parameters import draw_transitions, draw_weights
from jaxlatent.plots.state_paths import Session, draw_dwell_times, draw_occupancy, draw_session
from jaxlatent.plots.style import style
from jaxlatent.results.result import Result

#: A figure of less than so many inches is one column of a page.
_ONE_COLUMN = 5.0


def states(
    result: Result,
    input: int | str = 0,
    session: Session = 0,
    *,
    choice: int | str | None = None,
    others: Others = "mean",
    prob: float = 0.94,
    width: float = 7.2,
    coords: Mapping[str, Any] | None = None,
) -> dict[str, Axes]:
    """What each hidden state does, in one figure, as in Ashwood et al. (2022), figures 2 to 4. A state has one colour in all panels.

    ``weights`` of the regression of each state, or its mean; the ``psychometric`` curve of each, where states are regressions on inputs;
    the matrix of ``transitions``; probabilities along one ``session`` with its choices; ``occupancy``; and ``dwell`` times beside their
    geometric law. What is drawn of draws, of a batch, of other emissions and of transitions driven by inputs say `state_weights`,
    `psychometric`, `transitions`, `session`, `occupancy` and `dwell_times`, which draw the panels by themselves.

    Args:
        result: a fit of a hidden Markov model; of point fits the best lane. Draws and datasets must have one order of states, as
            `jaxlatent.Result.align` gives them.
        input: of the psychometric curves, its number or label.
        session: the number or label of a sequence; of a batch ``(dataset, session)``, or one of the first dataset.
        choice: the category whose probability psychometric curves show, its number or label; the last by default.
        others: the other inputs of psychometric curves, see `psychometric`.
        prob: of the intervals.
        width: of the figure in inches; of less than 5 panels are stacked, for one column of a page.
        coords: labels by dimension (``state``, ``input``, ``category``, ``sequence``), before those of the result; of a batch
            ``{"sequence": data.sequences}`` from `jaxlatent.sequences`.

    Returns:
        Axes by name; ``axes["weights"].figure`` is the figure.

    Raises:
        InputError: for other models, an unknown input, session or category.
    """
    hidden = hidden_of(result, coords)
    curves = hidden.inputs is not None
    narrow = width < _ONE_COLUMN
    if narrow:
        rows = [["weights"] * 2, ["psychometric" if curves else "occupancy", "transitions"], ["session"] * 2]
        rows += [["occupancy", "dwell"]] if curves else [["dwell"] * 2]
        heights = [1.1, 1.0, 0.8, 0.9]
    else:
        top = [*["weights"] * 3, *["psychometric"] * 2, *["transitions"] * 2]
        rows = [top if curves else [*["weights"] * 4, *["transitions"] * 3]]
        rows += [["session"] * 7, [*["occupancy"] * 3, *["dwell"] * 4]]
        heights = [1.15 if curves else 0.9, 0.7, 0.85]
    size = 7.0 if narrow else 8.0
    with style(), mpl.rc_context({"font.size": size, "axes.titlesize": size, "legend.fontsize": size}):
        height = 2.0 * sum(heights) + 0.3
        axes: dict[str, Axes]
        figure, axes = plt.subplot_mosaic(rows, figsize=(width, height), layout="constrained", height_ratios=heights)
        draw_weights(hidden, axes["weights"], prob)
        if curves:
            draw_psychometric(hidden, axes["psychometric"], input, choice, others, prob)
        draw_transitions(hidden, axes["transitions"])
        draw_session(hidden, axes["session"], session)
        draw_occupancy(hidden, axes["occupancy"], prob)
        draw_dwell_times(hidden, axes["dwell"])
        for letter, ax in zip("abcdef", axes.values(), strict=False):
            at: dict[str, Any] = {
                "xy": (0, 1),
                "xycoords": "axes fraction",
                "xytext": (-2.4, 0.6),
                "textcoords": "offset fontsize",
            }
            ax.annotate(letter, **at, fontweight="bold", fontsize=size + 2)
        lines = [Line2D([], [], color=colour, linewidth=3) for colour in hidden.colours]
        names = [f"state {state}" for state in hidden.states]
        figure.legend(lines, names, loc="outside upper center", ncols=min(len(names), 3 if narrow else 6))
    return axes
