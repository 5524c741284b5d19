"""The figures of the census analysis."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.datasets import Dataset
from jaxlatent.demos.census import Fits
from jaxlatent.plots.style import COLOURS, style


@style()
def draw(folder: Path, fits: Mapping[str, Fits], dataset: Dataset, predicted: np.ndarray, seed: int) -> list[Path]:
    """Draw and save all figures.

    Args:
        folder: to save in.
        fits: by model, "C1" to "C5".
        dataset: the data of the fits.
        predicted: predictive counts of C3, ``(chain, draw, cell)``.
        seed: of the predictive draws for ArviZ.

    Returns:
        The files written.
    """
    education, sex = dataset.coords["education"], dataset.coords["sex"]
    total, above = (dataset.data[name].reshape(7, 2) for name in ("total", "income"))
    pooled = fits["C3"].nuts
    proportions = predicted.reshape(-1, 7, 2) / total
    several: Callable[..., dict[str, jl.Result]] = lambda *models: {name: fits[name].nuts for name in models}
    figures: dict[str, Any] = {
        **plots.checks(pooled, seed, ["alpha"], only=("trace", "autocorrelation", "pairs")),
        "geweke": plots.geweke(pooled, "alpha"),
        "forest": plots.forest(several("C2", "C3"), "alpha"),
        "advantage": plots.forest(several("C1", "C3", "C5"), "advantage"),
        "validation": plots.validation(
            above / total, proportions, education, sex, quantity="proportion above $50,000 a year"
        ).figure,
        "shrinkage": _shrinkage(pooled, np.log(above / (total - above)), education, sex).figure,
        "doctorates": _doctorates(predicted[..., 12].ravel(), int(above[6, 0]), int(total[6, 0])).figure,
        "elbo": plots.elbo(fits["C3"].advi).figure,
    }
    written = []
    for name, figure in figures.items():
        written.append(plots.save(figure, folder / f"{name}.svg"))
        plt.close(figure)
    return written


def _shrinkage(result: jl.Result, log_odds: np.ndarray, education: list[str], sex: list[str]) -> Axes:
    """Shrinkage of women (left) and of men, with effect ``bm`` (right)."""
    layout = {"figsize": (11.0, 4.6), "layout": "constrained", "sharex": True, "sharey": "row", "height_ratios": (3, 2)}
    grid = plt.subplots(2, 2, **layout)[1]
    for column, title in enumerate(sex):
        shift = column * result.params["bm"]
        alpha, population = result.params["alpha"] + shift[..., None], float((result.params["a"] + shift).mean())
        axes = tuple(grid[:, column])
        plots.shrinkage(log_odds[:, column], alpha, education, population, "log odds of > $50,000", axes)
        axes[0].get_legend().remove()
        axes[0].set_title(title)
    for ax in grid[:, 1]:
        ax.set_ylabel("")
    first: Axes = grid[0, 0]
    first.figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return first


def _doctorates(counts: np.ndarray, observed: int, total: int) -> Axes:
    """The predictive distribution of the number of women with doctorates above 50,000 dollars."""
    ax: Axes = plt.subplots(figsize=(5.5, 3.2), layout="constrained")[1]
    values, times = np.unique(counts, return_counts=True)
    ax.bar(values, times / counts.size, color=COLOURS[0], width=0.8, label="predicted")
    ax.axvline(observed, color=COLOURS[1], linestyle="--", label=f"observed: {observed}")
    ax.set(xlabel=f"women with doctorates above $50,000 a year, of {total}", ylabel="probability")
    ax.figure.legend(loc="outside upper center", ncols=2)
    return ax
