"""Figures of the parameters of hidden states: the weights of regressions or the means of observations, and transitions."""

import re
from collections.abc import Mapping
from itertools import product, zip_longest
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from jaxlatent.plots._common import axes_or_new
from jaxlatent.plots._hidden import Hidden, hidden_of
from jaxlatent.plots.style import GREY, legend, style
from jaxlatent.results.label_axes import label_axes
from jaxlatent.results.result import Result

#: Parameters that say where the observations of a state are, the first that a model has.
_LOCATIONS = ("weights", "means", "probs", "rates")
_QUANTITIES = {"weights": "weight", "means": "mean", "probs": "probability", "rates": "rate"}
#: More entries than this are not told apart, and labels of more letters do not stand side by side.
_MOST_ENTRIES, _MOST_LETTERS = 40, 24
#: Numbers below one in larger matrices begin with the point.
_MOST_DIGITS = 5


def state_weights(
    result: Result, ax: Axes | None = None, *, prob: float = 0.94, coords: Mapping[str, Any] | None = None
) -> Axes:
    """What each state emits: the weights of its regression by input, its bias last; of other emissions its means, rates or probabilities.

    Draws: mean and equal-tailed interval. A batch: the mean over datasets, and a small point for each (its posterior mean). Weights of
    categories are log odds against the first one. States of draws and of datasets are those of the same label, see
    `jaxlatent.Result.align`.

    Args:
        result: a fit of a hidden Markov model; of point fits the best lane.
        ax: where to draw; a new figure by default.
        prob: of the intervals.
        coords: labels by dimension (``input``, ``state``, ``category``, ``feature``), before those of the result.

    Raises:
        InputError: for other models.
    """
    hidden = hidden_of(result, coords)
    with style():
        ax = axes_or_new(ax, 4.0, 2.8)
        draw_weights(hidden, ax, prob)
        legend(ax, "state")
    return ax


def transitions(result: Result, ax: Axes | None = None, *, coords: Mapping[str, Any] | None = None) -> Axes:
    """The transition matrix, from row to column, averaged over draws and datasets; where inputs drive it also over steps.

    Args:
        result: a fit of a hidden Markov model; of point fits the best lane.
        ax: where to draw; a new figure by default.
        coords: labels by dimension (``state``), before those of the result.

    Raises:
        InputError: for other models.
    """
    hidden = hidden_of(result, coords)
    with style():
        ax = axes_or_new(ax, 2.8, 2.8)
        draw_transitions(hidden, ax)
    return ax


def draw_weights(hidden: Hidden, ax: Axes, prob: float) -> None:
    """See `state_weights`; without a legend."""
    entries = entries_of(hidden)
    if entries is None:
        ax.text(0.5, 0.5, "no parameter of one state\nthat fits here", ha="center", va="center", transform=ax.transAxes)
        ax.set_axis_off()
        return
    labels, values, quantity, dim = entries
    places, tail = np.arange(len(labels)), (1 - prob) / 2
    each = np.nanmean(values, 1)  # (D, K, P)
    joined = len(labels) > 1
    for k, (state, colour) in enumerate(zip(hidden.states, hidden.colours, strict=True)):
        x = places + 0.6 * ((k + 0.5) / hidden.number - 0.5)
        mean = each[:, k].mean(0)
        if len(each) > 1:
            ax.plot(np.tile(x, len(each)), each[:, k].ravel(), ".", color=colour, alpha=0.35, markersize=4, mew=0)
        elif hidden.result.has_draws:
            low, high = np.nanquantile(values[0, :, k], [tail, 1 - tail], 0)
            ax.vlines(x, low, high, color=colour, linewidth=1.5)
        line = "-" if joined else ""
        ax.plot(x, mean, line, color=colour, linewidth=0.6, alpha=0.7, zorder=1.5)
        ax.plot(x, mean, "o", color=colour, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5, label=state)
    if quantity != "rate" and ax.get_ylim()[0] < 0 < ax.get_ylim()[1]:
        ax.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    crowded = len(labels) > 1 and max(map(len, labels)) * len(labels) > _MOST_LETTERS
    turned: dict[str, Any] = (
        {"rotation": 35, "ha": "right", "rotation_mode": "anchor", "linespacing": 0.9} if crowded else {}
    )
    ax.set_xticks(places, [wrapped(label) for label in labels], **turned)
    ax.set(xlim=(-0.6, len(labels) - 0.4), xlabel=dim, ylabel=quantity)


def wrapped(label: str, width: int = 20) -> str:
    """A long label on two lines, of which the second may end in dots: cut after a word of a name, or before a bracket."""
    if len(label) <= width:
        return label
    cuts = [found.end() for found in re.finditer(r"[_ ,:]+|(?=[(\[])", label) if found.end() <= width]
    cut = cuts[-1] if cuts else width
    rest = label[cut:]
    return f"{label[:cut]}\n{rest if len(rest) <= width else rest[: width - 1] + '…'}"


class Entries(NamedTuple):
    """Entries of a parameter of states.

    Attributes:
        labels: ``P`` of them.
        values: ``(D, S, K, P)``.
        quantity: what they are.
        dim: what labels are numbers of, if they have no others.
    """

    labels: list[str]
    values: np.ndarray
    quantity: str
    dim: str


def entries_of(hidden: Hidden) -> Entries | None:
    """The entries of the parameter that says where observations are; None if there is none, or too many entries."""
    dims = hidden.result.posterior.density.dims
    axes = label_axes({name: value.shape[2:] for name, value in hidden.params.items()}, dims, hidden.number)
    of_states = [name for name, places in axes.items() if places == (0,) and name != "initial_probs"]
    known = [name for name in _LOCATIONS if name in of_states] or of_states[:1]
    if not known:
        return None
    name, values = known[0], hidden.params[known[0]]
    own = dims.get(name, ())[1:]
    parts = [
        [str(label) for label in hidden.coords.get(dim, range(length))]
        for dim, length in zip_longest(own, values.shape[3:])
    ]
    quantity = _QUANTITIES.get(name, name)
    if name == "weights" and "biases" in of_states and hidden.params["biases"].shape == values.shape[:-1]:
        values = np.concatenate([values, hidden.params["biases"][..., None]], -1)
        parts[-1].append("bias")
    if own[:1] == ("category",) and name == "weights":
        # The softmax does not change where all logits do.
        values = values[..., 1:, :] - values[..., :1, :]
        first, parts[0] = parts[0][0], parts[0][1:]
        quantity = f"log odds against {first}"
    elif hidden.categories and name == "weights":
        quantity = "weight (log odds)"
    parts = [labels for labels in parts if len(labels) > 1 or len(parts) == 1]
    labels = [", ".join(labels) for labels in product(*parts)]
    labels = labels if parts else [hidden.name if name in ("means", "probs", "rates") else name]
    dim = own[-1] if own and own[-1] not in hidden.coords else ""
    found = Entries(labels, values.reshape(*values.shape[:3], -1), quantity, dim)
    return found if len(labels) <= _MOST_ENTRIES else None


def draw_transitions(hidden: Hidden, ax: Axes) -> None:
    """See `transitions`."""
    matrix = np.nanmean(hidden.transitions, (0, 1))
    ax.imshow(matrix, cmap="Greys", vmin=0, vmax=1.4, aspect="equal")
    size = min(mpl.rcParams["font.size"], 36 / hidden.number)
    for (row, column), value in np.ndenumerate(matrix):
        text = f"{value:.2f}" if hidden.number <= _MOST_DIGITS else f"{value:.2f}".removeprefix("0")
        ax.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if value > 0.8 else "black")
    places = range(hidden.number)
    ax.set_xticks(places, hidden.states)
    ax.set_yticks(places, hidden.states)
    for label, colour in zip([*ax.get_xticklabels(), *ax.get_yticklabels()], hidden.colours * 2, strict=True):
        label.set(color=colour, fontweight="bold")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="next state", ylabel="state")
    if hidden.varying:
        ax.set_title("mean over steps", loc="center")
