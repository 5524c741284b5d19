"""Figures of the paths of hidden states: probabilities along one session, occupancy, dwell times."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from jaxlatent.errors import InputError
from jaxlatent.masks import widen
from jaxlatent.plots import _dwell
from jaxlatent.plots._common import axes_or_new
from jaxlatent.plots._hidden import Hidden, hidden_of
from jaxlatent.plots.psychometric import place_of
from jaxlatent.plots.style import GREY, legend, style
from jaxlatent.results.result import Result

#: A session: its number or label; of a batch the name of the dataset, or that and the session.
Session = Any


def session(
    result: Result, session: Session = 0, ax: Axes | None = None, *, coords: Mapping[str, Any] | None = None
) -> Axes:
    """The posterior probability of each state along one sequence, with its choices, or other observations on an axis of their own.

    Probabilities are averaged over draws (of many over 200, evenly spaced). Steps without an observation are shaded; the figure ends with
    the last one observed.

    Args:
        result: a fit of a hidden Markov model; of point fits the best lane.
        session: the number of a sequence, counted from 0, or its label in the coordinates ``sequence``, which `jaxlatent.sequences` gives.
            Of a batch ``(dataset, session)``, or a number or label for the first dataset.
        ax: where to draw; a new figure by default.
        coords: labels by dimension (``sequence``, of a batch for each dataset as in ``{"sequence": data.sequences}``; ``state``,
            ``category``), before those of the result.

    Raises:
        InputError: for an unknown dataset or sequence, or one without observations.
    """
    hidden = hidden_of(result, coords)
    with style():
        ax = axes_or_new(ax, 7.0, 2.2)
        draw_session(hidden, ax, session)
        ax.legend(title="state", loc="center left", bbox_to_anchor=(1.08, 0.5))
    return ax


def occupancy(
    result: Result, ax: Axes | None = None, *, prob: float = 0.94, coords: Mapping[str, Any] | None = None
) -> Axes:
    """The share of observed steps in each state: the mean of their smoothed probabilities.

    Draws (of many 200, evenly spaced): mean and equal-tailed interval. A batch: the mean over datasets, and a point for each.

    Args:
        result: a fit of a hidden Markov model; of point fits the best lane.
        ax: where to draw; a new figure by default.
        prob: of the interval.
        coords: labels by dimension (``state``), before those of the result.

    Raises:
        InputError: for other models.
    """
    hidden = hidden_of(result, coords)
    with style():
        ax = axes_or_new(ax, 2.4, 2.8)
        draw_occupancy(hidden, ax, prob)
    return ax


def dwell_times(result: Result, ax: Axes | None = None, *, coords: Mapping[str, Any] | None = None) -> Axes:
    """The share of visits of each state by how long they last, beside the geometric law of its self-transition.

    Visits are those of most likely paths, of all datasets and up to 200 draws together; bins double in width. The last visit of a sequence,
    which its end cuts, counts as one that lasts at least as long: bars are the product-limit estimate (Kaplan and Meier 1958), and do not
    add up to one where the longest visits are cut. Steps without an observation count. The law is that of the transition matrix, averaged
    over the visits of each dataset; there is none where transitions depend on inputs.

    Args:
        result: a fit of a hidden Markov model; of point fits the best lane.
        ax: where to draw; a new figure by default.
        coords: labels by dimension (``state``), before those of the result.

    Raises:
        InputError: for other models.
    """
    hidden = hidden_of(result, coords)
    with style():
        ax = axes_or_new(ax, 3.4, 2.8)
        draw_dwell_times(hidden, ax)
        legend(ax, "state")
    return ax


def draw_session(hidden: Hidden, ax: Axes, session: Session) -> None:
    """See `session`; without a legend."""
    dataset, sequence, title = _sequence_of(hidden, session)
    (values, seen), probs = (x[dataset, sequence] for x in hidden.observed), hidden.mean_probs[dataset, sequence]
    if not seen.any():
        raise InputError(
            "plots.session(session=...)",
            got=f"{title}, without an observation",
            expected="a sequence with one",
            remedy="draw another one.",
        )
    length = int(np.flatnonzero(seen)[-1]) + 1
    steps, values, seen = np.arange(1, length + 1), values[:length], seen[:length]
    for k, (state, colour) in enumerate(zip(hidden.states, hidden.colours, strict=True)):
        ax.plot(steps, probs[:length, k], color=colour, linewidth=1.2, label=state)
    for first, last in _stretches(~seen):
        ax.axvspan(steps[first] - 0.5, steps[last] + 0.5, color=GREY, alpha=0.3, linewidth=0, zorder=0)
    low, high = (_mark_choices if hidden.categories else _mark_values)(hidden, ax, steps, values, seen)
    ax.set(xlim=(0.5, length + 0.5), ylim=(low, high), yticks=[0, 0.5, 1], ylabel="P(state)")
    ax.set_xlabel("trial" if hidden.categories else "step")
    ax.set_title(title)


def _sequence_of(hidden: Hidden, session: Session) -> tuple[int, int, str]:
    """The places of the dataset and the sequence, and a title."""
    dataset = 0
    if hidden.result.names is not None and isinstance(session, tuple):
        name, session = session
        dataset = place_of(name, [str(name) for name in hidden.datasets], "plots.session(session=(dataset, ...))")
    name = hidden.datasets[dataset]
    labels = hidden.coords.get("sequence")
    labels = labels.get(name) if isinstance(labels, Mapping) else labels if hidden.result.names is None else None
    number = hidden.observed[1].shape[1]
    words = [str(label) for label in labels] if labels is not None else [str(i) for i in range(number)]
    sequence = place_of(session, words, "plots.session(session=...)")
    label = words[sequence] if labels is not None else f"sequence {sequence}" if number > 1 else ""
    return dataset, sequence, ", ".join([str(part) for part in (name, label) if part not in (None, "")])


def _stretches(inside: np.ndarray) -> np.ndarray:
    """The first and last places of each stretch of True, ``(stretches, 2)``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]])))
    return edges.reshape(-1, 2) - [0, 1]


def _mark_choices(
    hidden: Hidden, ax: Axes, steps: np.ndarray, values: np.ndarray, seen: np.ndarray
) -> tuple[float, float]:
    """A tick for each choice: of two below and above the probabilities, of more in rows above. Returns the range of the axis."""
    names = hidden.categories or []
    rows = np.array([-0.1, 1.1]) if len(names) == 2 else 1.1 + 0.18 * np.arange(len(names))
    for category, (row, name) in enumerate(zip(rows, names, strict=True)):
        at = steps[seen & (values == category)]
        ax.plot(at, np.full(len(at), row), "|", color="black", markersize=3.5, markeredgewidth=0.6)
        ax.annotate(
            name, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize="small", annotation_clip=False
        )
    return min(rows[0] - 0.08, -0.04), rows[-1] + 0.08


def _mark_values(
    hidden: Hidden, ax: Axes, steps: np.ndarray, values: np.ndarray, seen: np.ndarray
) -> tuple[float, float]:
    """The observations on an axis of their own, behind the probabilities. Returns the range of the axis."""
    other = ax.twinx()
    other.spines["right"].set_visible(True)
    shown = np.where(widen(seen, values.ndim), values, np.nan).reshape(len(steps), -1)
    other.plot(steps, shown, ".", color=GREY, markersize=3.0, alpha=0.8 if shown.shape[1] == 1 else 0.4, mew=0)
    other.set_ylabel(hidden.name, color=GREY)
    other.tick_params(axis="y", colors=GREY)
    ax.set_zorder(other.get_zorder() + 1)
    ax.patch.set_visible(False)
    return -0.04, 1.04


def draw_occupancy(hidden: Hidden, ax: Axes, prob: float) -> None:
    """See `occupancy`."""
    each, tail = np.nanmean(hidden.occupancy, 1), (1 - prob) / 2
    places = np.arange(hidden.number)
    ax.bar(places, each.mean(0), 0.7, color=hidden.colours)
    if len(each) > 1:
        offsets = np.linspace(-0.2, 0.2, len(each))
        ax.plot(places + offsets[:, None], each, "o", color="black", markersize=2.5, alpha=0.6, mew=0)
    elif hidden.result.has_draws:
        low, high = np.nanquantile(hidden.occupancy[0], [tail, 1 - tail], 0)
        ax.vlines(places, low, high, color="black", linewidth=1.2)
    ax.set_xticks(places, hidden.states)
    ax.set(xlabel="state", ylabel="occupancy", ylim=(0, None))


def draw_dwell_times(hidden: Hidden, ax: Axes) -> None:
    """See `dwell_times`; without a legend."""
    each = [_dwell.visits(paths) for paths in hidden.paths]
    found = _dwell.Visits(*(np.concatenate(part) for part in zip(*each, strict=True)))
    edges = _dwell.bins(int(found.length.max()))
    for k, (state, colour) in enumerate(zip(hidden.states, hidden.colours, strict=True)):
        own = found.state == k
        shares = -np.diff(_dwell.survival(found.length[own], found.cut[own], int(edges[-1]))[edges - 1])
        ax.stairs(shares, edges, fill=True, color=colour, alpha=0.12, linewidth=0)
        ax.stairs(shares, edges, color=colour, linewidth=1.0, label=state)
        number = np.array([np.sum(visits.state == k) for visits in each])
        if not hidden.varying and number.any():
            # (D, S, edges): the share of visits that last at least so long.
            lasting = hidden.transitions[..., k, k, None] ** (edges - 1)
            law = np.average(-np.diff(np.nanmean(lasting, 1)), 0, number)
            ax.plot(np.sqrt(edges[:-1] * edges[1:]), law, "o--", color=colour, markersize=2.5, linewidth=0.9)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(edges[:: 1 + len(edges) // 7].tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    unit = "trials" if hidden.categories else "steps"
    ax.set(xlabel=f"dwell time ({unit})", ylabel="share of visits", ylim=(0, None))
    ax.set_title("inputs drive transitions: no law" if hidden.varying else "dashed: geometric law")
