"""Figure of the choice among models of several sizes: held-out scores and information criteria."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from jaxlatent.errors import InputError
from jaxlatent.plots.style import COLOURS, GREY, style

if TYPE_CHECKING:
    import pandas as pd

_CRITERIA = ("aic", "bic", "icl")


def choice(table: "pd.DataFrame", chosen: Any = None, axes: Sequence[Axes] | None = None) -> np.ndarray:
    """Held-out bits with standard errors against the candidates, the chosen one marked; beside them the information criteria.

    Error bars are the standard errors of the differences to the best candidate, by which the choice is made: those of the scores
    themselves are common to all candidates. Criteria are drawn less their least value.

    Args:
        table: of a `jaxlatent.selection.choice.Selection`.
        chosen: the candidate to mark.
        axes: two axes, or one if there are no criteria; a new figure by default.

    Raises:
        InputError: for another number of axes.
    """
    criteria = [name for name in _CRITERIA if name in table]
    panels = 2 if criteria else 1
    if axes is not None and len(axes) != panels:
        raise InputError(
            "choice(axes=...)", got=f"{len(axes)} axes", expected=f"{panels}", remedy="leave it out for a new figure."
        )
    numeric = table.index.dtype.kind in "iuf"
    places = table.index.to_numpy(float) if numeric else np.arange(len(table), dtype=float)
    with style():
        if axes is None:
            axes = plt.subplots(1, panels, figsize=(3.4 * panels, 2.9), layout="constrained", squeeze=False)[1].ravel()
        _held_out(axes[0], places, table, chosen)
        if criteria:
            _criteria(axes[1], places, table, criteria)
        room = 0.06 * max(np.ptp(places), 1.0)
        for ax in axes:
            # Of all candidates, also where few have a score.
            ax.set_xlim(places.min() - room, places.max() + room)
            ax.set_xlabel(table.index.name or "candidate")
            if numeric:
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            else:
                ax.set_xticks(places, [str(label) for label in table.index])
    return np.asarray(axes)


def _held_out(ax: Axes, places: np.ndarray, table: "pd.DataFrame", chosen: Any) -> None:
    bits, errors = table["bits"].to_numpy(), table["difference_se"].to_numpy()
    ax.errorbar(places, bits, np.nan_to_num(errors), color=COLOURS[0], marker="o", markersize=3, capsize=2)
    if np.isfinite(bits).any():
        ax.axhline(np.nanmax(bits), color=GREY, linewidth=0.5, linestyle=":")
    marked = [i for i, label in enumerate(table.index) if chosen is not None and label == chosen]
    if marked:
        ax.plot(
            places[marked],
            bits[marked],
            "o",
            color=COLOURS[1],
            markersize=9,
            markerfacecolor="none",
            label=f"chosen: {chosen}",
        )
        ax.legend(loc="best")
    ax.set_ylabel("held-out bits per observation\n± se of the difference to the best")


def _criteria(ax: Axes, places: np.ndarray, table: "pd.DataFrame", criteria: Sequence[str]) -> None:
    for name, colour, marker in zip(criteria, COLOURS[2:], "s^v", strict=False):
        values = table[name].to_numpy()
        if np.isfinite(values).any():
            values = values - np.nanmin(values)
            ax.plot(places, values, color=colour, marker=marker, markersize=3, label=name.upper())
    ax.set_ylabel("criterion less its least value")
    ax.legend()
