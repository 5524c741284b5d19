"""The figures of the study of mice."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.datasets import INPUTS
from jaxlatent.demos.mice_recovery import Recovery
from jaxlatent.plots.style import GREY, colours_of, style


@style()
def draw(folder: Path, pooled: jl.Selection, group: jl.Result, own: jl.Result, recovered: Recovery | None) -> None:
    """Draw the choice of the number of states, the states of all animals pooled and of each by itself, and their weights by the true ones.

    Args:
        folder: to save in.
        pooled: the choice.
        group, own: the fit to all animals and those to each, with one order of states.
        recovered: see `Recovery`.
    """
    figures = {
        "choice": pooled.plot()[0].figure,
        "states": plots.states(group, "stimulus")["weights"].figure,
        "animals": plots.states(own, "stimulus")["weights"].figure,
    }
    if recovered is not None:
        figures["recovery"] = _recovery(recovered)
    for name, figure in figures.items():
        plots.save(figure, folder / f"{name}.svg")
        plt.close(figure)


def _recovery(recovered: Recovery) -> Figure:
    """Fitted weights of each animal against its true ones, by input; a cross is the population."""
    figure: Figure
    figure, axes = plt.subplots(1, len(INPUTS), figsize=(2.4 * len(INPUTS), 2.6), layout="constrained")
    colours = colours_of(recovered.animals.shape[-2])
    for i, (name, ax) in enumerate(zip(INPUTS, axes, strict=True)):
        both = recovered.animals[..., i]
        ends = np.array([both.min(), both.max()])
        ax.plot(ends, ends, color=GREY, linewidth=0.6)
        for state in range(both.shape[2]):
            ax.plot(*both[..., state], ".", color=colours[state], markersize=5, label=f"state {state}")
            ax.plot(*recovered.population[:, state, i], "+", color=colours[state], markersize=10)
        ax.set(title=name, xlabel="true weight")
    axes[0].set_ylabel("fitted weight")
    axes[0].plot([], [], "k+", markersize=5, label="population")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, markerscale=2)
    return figure
