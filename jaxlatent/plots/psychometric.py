"""Psychometric curves: what each state chooses, against one input of its regression."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from matplotlib.axes import Axes

from jaxlatent.errors import InputError, did_you_mean, require
from jaxlatent.plots._common import axes_or_new
from jaxlatent.plots._hidden import Hidden, hidden_of
from jaxlatent.plots.style import GREY, legend, style
from jaxlatent.results.result import Result

#: Up to so many values of an input are shown each, more of them in this many bins of equal counts.
_MOST_VALUES, _BINS = 12, 8
#: Fewer steps do not make a point.
_FEWEST = 5
_GRID = 101
#: What the other inputs of a curve are, and over how many steps it is averaged if they are as observed.
Others: TypeAlias = Literal["mean", "zero", "observed"]
_STEPS = 50


def psychometric(
    result: Result,
    input: int | str = 0,
    ax: Axes | None = None,
    *,
    choice: int | str | None = None,
    others: Others = "mean",
    prob: float = 0.94,
    coords: Mapping[str, Any] | None = None,
) -> Axes:
    """The probability of a choice in each state against one input, and the choices made while the state was the most probable.

    Curves are those of the regressions with the other inputs at one value: the mean over draws with an equal-tailed interval; of a batch a
    thin curve for each dataset and their mean. Points are means of the data, with a standard error, over the observed steps whose most
    probable state (by its probability given all data) is that one, at each value of the input, or in eight bins of equal counts where it
    has many; the other inputs there are as they were. Points of fewer than five steps are left out. Of other regressions the mean of the
    observation is drawn; of groups around a population (`jaxlatent.models.hierarchical`) the curves are those of the population.

    Args:
        result: a fit of a hidden Markov model of regressions on ``x``; of point fits the best lane.
        input: of the horizontal axis, its number or its label in the coordinates ``input``.
        ax: where to draw; a new figure by default.
        choice: the category whose probability is drawn, its number or label; the last by default.
        others: the other inputs of a curve: their "mean" over the observed steps of all datasets, "zero", or "observed": the curve is then
            an average over up to 50 evenly spaced observed steps of its values at their other inputs, as points are.
        prob: of the intervals.
        coords: labels by dimension (``input``, ``state``, ``category``), before those of the result.

    Raises:
        InputError: for a model without inputs, an unknown input or category.
    """
    hidden = hidden_of(result, coords)
    with style():
        ax = axes_or_new(ax, 3.4, 2.8)
        draw_psychometric(hidden, ax, input, choice, others, prob)
        legend(ax, "state")
    return ax


def draw_psychometric(
    hidden: Hidden, ax: Axes, input: int | str, choice: int | str | None, others: Others, prob: float
) -> None:
    """See `psychometric`; without a legend."""
    known = get_args(Others)
    require(others in known, "plots.psychometric(others=...)", got=others, expected=f"one of {known}")
    if hidden.inputs is None:
        raise InputError(
            "plots.psychometric(result)",
            got=f"{hidden.result.posterior.density.label}, which has no regression on inputs 'x'",
            expected="emissions such as BernoulliRegression",
            remedy="draw plots.state_weights.",
        )
    labels = [str(label) for label in hidden.coords.get("input", range(hidden.inputs.shape[-1]))]
    column = place_of(input, labels, "plots.psychometric(input=...)")
    category = _category(hidden, choice)
    values, seen = hidden.observed
    x, y = hidden.inputs[seen], values[seen] if category is None else (values[seen] == category).astype(float)
    rows = {"mean": x.mean(0)[None], "zero": np.zeros((1, x.shape[1])), "observed": x[:: -(-len(x) // _STEPS)]}[others]
    at = np.linspace(x[:, column].min(), x[:, column].max(), _GRID)
    grids = np.where(np.arange(x.shape[1]) == column, at[:, None], rows[:, None])
    curves: np.ndarray = reduce(np.add, (_curves(hidden, grid, category) for grid in grids)) / len(grids)
    likeliest = hidden.mean_probs[seen].argmax(-1)
    each = np.nanmean(curves, 1)
    for k, (state, colour) in enumerate(zip(hidden.states, hidden.colours, strict=True)):
        if len(each) > 1:
            ax.plot(at, each[..., k].T, color=colour, linewidth=0.5, alpha=0.4)
        elif hidden.result.has_draws:
            low, high = np.nanquantile(curves[0, ..., k], [(1 - prob) / 2, (1 + prob) / 2], 0)
            ax.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(at, each[..., k].mean(0), color=colour, linewidth=1.4, label=state)
        places, mean, error = binned(x[likeliest == k, column], y[likeliest == k], x[:, column])
        ax.errorbar(places, mean, error, fmt="o", color=colour, markersize=3, linewidth=0.7, zorder=3)
    ax.set(xlabel=labels[column] if "input" in hidden.coords else f"input {labels[column]}")
    if hidden.categories is None:
        ax.set_ylabel(f"mean of {hidden.name}")
        return
    for level in (0.0, 0.5, 1.0):
        ax.axhline(level, color=GREY, linewidth=0.5, linestyle=":", zorder=0)
    event = hidden.categories[category or 0] if "category" in hidden.coords else f"{hidden.name} = {category}"
    ax.set(ylim=(-0.04, 1.04), yticks=[0, 0.5, 1], ylabel=f"P({event})")


def _category(hidden: Hidden, choice: int | str | None) -> int | None:
    """The place of the category whose probability is drawn; None for observations that are no choices."""
    if hidden.categories is None:
        require(
            choice is None,
            "plots.psychometric(choice=...)",
            got=choice,
            expected="observations that are choices",
            remedy="leave it out.",
        )
        return None
    if choice is None:
        return len(hidden.categories) - 1
    return place_of(choice, hidden.categories, "plots.psychometric(choice=...)")


def _curves(hidden: Hidden, grid: np.ndarray, category: int | None) -> np.ndarray:
    """The probability of the category, or the mean of the observation, in each state at inputs ``(G, P)``: ``(D, S, G, K)``."""
    means = hidden.curves(grid)
    if means.ndim == 5:
        chosen: np.ndarray = means[..., category]
        return chosen
    return 1 - means if category == 0 else means


def binned(x: np.ndarray, y: np.ndarray, all_x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of ``x`` and ``y`` in bins of ``x``, and standard errors of those of ``y``.

    Args:
        x: ``(N,)``.
        y: ``(N,)``.
        all_x: whose values, or quantiles if there are many, make the bins.
    """
    known = np.unique(all_x)
    if len(known) <= _MOST_VALUES:
        place = np.searchsorted(known, x)
    else:
        edges = np.quantile(all_x, np.linspace(0, 1, _BINS + 1)[1:-1])
        place = np.searchsorted(edges, x, side="right")
    number = np.bincount(place)
    kept = np.flatnonzero(number >= _FEWEST)
    mean: Callable[[np.ndarray], np.ndarray] = lambda values: np.bincount(place, values)[kept] / number[kept]
    middle = mean(y)
    every = np.bincount(place, y) / np.maximum(number, 1)
    spread = np.sqrt(mean((y - every[place]) ** 2))
    return mean(x), middle, spread / np.sqrt(number[kept])


def place_of(wanted: int | str, labels: list[str], what: str) -> int:
    """The place of a label, or of a number counted from 0.

    Raises:
        InputError: if there is none.
    """
    if str(wanted) in labels:
        return labels.index(str(wanted))
    if isinstance(wanted, int | np.integer) and 0 <= wanted < len(labels):
        return int(wanted)
    raise InputError(
        what,
        got=repr(wanted),
        expected=f"a number below {len(labels)}, or one of {labels[:8]}",
        remedy=did_you_mean(str(wanted), labels),
    )
