"""Graphs of the census models and of the ready families, as figures and as a page of Mermaid source."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

import jaxlatent as jl
from jaxlatent.datasets import census_income, inverse_problem
from jaxlatent.demos import census
from jaxlatent.plots import save


def run(out: Path, console: Console) -> list[Path]:
    """Draw the graph of every model, one figure each, and write ``graphs.md``.

    Args:
        out: folder for the figures and the page; created if missing.
        console: to print the files written.

    Returns:
        The files written.
    """
    out.mkdir(parents=True, exist_ok=True)
    written, page = [], ["# Model graphs"]
    for name, model, data in models():
        graph = model.graph(data)
        figure: Any = graph.draw().figure
        written.append(save(figure, out / f"graph_{name}.svg"))
        plt.close(figure)
        page += [f"## {graph.name}", f"```mermaid\n{graph.mermaid()}```"]
    written.append(out / "graphs.md")
    written[-1].write_text("\n\n".join(page) + "\n", encoding="utf-8")
    for path in written:
        console.print(f"wrote {path}")
    return written


def models() -> Iterator[tuple[str, jl.Model, dict[str, Any]]]:
    """File name, model and data of the census models and of one model of every ready family."""
    income, curve = census_income().data, inverse_problem().data
    sequences = {"y": [np.zeros((length, 2)) for length in (80, 120, 100)]}
    choices = {"y": np.zeros((10, 200), int), "x": np.zeros((10, 200, 3)), "u": np.zeros((10, 200, 2))}
    emissions = jl.models.emissions
    yield "c1", census.pooled(), income
    yield "c2", census.no_pooling(), income
    yield "c3", census.partial_pooling(), income
    yield "c4", census.correlated(jl.centred), income
    yield "c5", census.correlated(jl.noncentred), income
    yield "hmm", jl.models.hmm(3, emissions.Gaussian(2)), sequences
    yield "glm_hmm", jl.models.hmm(4, emissions.BernoulliRegression(3), jl.models.InputDriven(2)), choices
    yield "gaussian_mixture", jl.models.gaussian_mixture(3, 2), {"y": np.zeros((500, 2))}
    yield "regression_mixture", jl.models.regression_mixture(3, 1), curve
    yield "mixture_of_experts", jl.models.mixture_of_experts(3, 1), curve
    yield "mixture_density_network", jl.models.mixture_density_network(3, 1), curve
