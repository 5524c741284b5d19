"""`Page`: the printed page of a row of the gallery, with its tables and figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

import jaxlatent as jl
from jaxlatent.demos.printing import print_table
from jaxlatent.plots import save


@dataclass(frozen=True)
class Page:
    """The page of one row.

    Attributes:
        name: of the row and of its figure.
        console: where text and tables go.
        out: folder of the figures.
        seed: of the simulated data and of the sampler.
    """

    name: str
    console: Console
    out: Path
    seed: int

    def head(self, line: str) -> None:
        """Print the heading."""
        self.console.print(f"\n[bold]{self.name}[/bold]: {line}", highlight=False)

    def say(self, text: str) -> None:
        """Print a paragraph."""
        self.console.print(f"\n{text}", highlight=False, markup=False)

    def table(self, title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table with row names in the first column and right-aligned numbers."""
        print_table(self.console, title, heads, rows, "italic")

    def posterior(self, result: jl.Result, truth: Mapping[str, Any]) -> None:
        """Print parameters and derived quantities with their true values, and the number of divergences.

        Args:
            result: draws of one dataset.
            truth: true values by name; others are not shown.
        """
        summary = result.summary(list(truth))
        low, high = (column for column in summary.columns if column.startswith("eti"))
        values = np.concatenate([np.ravel(value) for value in truth.values()])
        self.table(
            "posterior",
            ["", "truth", "mean", "sd", low[4:], high[4:], "ESS", "R-hat"],
            (
                [
                    str(label),
                    *(f"{number:.2f}" for number in (value, row["mean"], row["sd"], row[low], row[high])),
                    f"{row.ess_bulk:.0f}",
                    f"{row.r_hat:.3f}",
                ]
                for value, (label, row) in zip(values, summary.iterrows(), strict=True)
            ),
        )
        divergences = int(result.statistics["diverging"].sum())
        self.console.print(f"{divergences} divergences in {result.statistics['diverging'].size} draws", style="dim")

    def contrast(self, title: str, draws: Mapping[str, np.ndarray], truth: Mapping[str, float]) -> None:
        """Print several estimates with their true values, and the errors in posterior standard deviations.

        Args:
            title: of the table.
            draws: by label.
            truth: true values by label.
        """
        rows = []
        for label, values in draws.items():
            mean, sd = values.mean(), values.std()
            low, high = np.quantile(values, [0.03, 0.97])
            numbers = [f"{number:.2f}" for number in (truth[label], mean, sd, low, high)]
            rows.append([label, *numbers, f"{abs(mean - truth[label]) / sd:.1f}"])
        self.table(title, ["", "truth", "mean", "sd", "3%", "97%", "sd off"], rows)

    def coordinates(self, fits: Mapping[str, jl.Result], names: Sequence[str]) -> dict[str, float]:
        """Print how the centring of the varying effects affects the sampler.

        Args:
            fits: of one model, by centring.
            names: of the parameters whose effective sample sizes are compared.

        Returns:
            The smallest effective sample size by centring.
        """
        rows, least = [], {}
        for centring, fit in fits.items():
            statistics = fit.statistics
            gradients = statistics["n_steps"].sum() / statistics["n_steps"].size
            least[centring] = float(fit.summary(list(names)).ess_bulk.min())
            rows.append([centring, f"{statistics['diverging'].sum()}", f"{gradients:.0f}", f"{least[centring]:.0f}"])
        draws = next(iter(fits.values())).statistics["diverging"].size
        heads = ["", f"divergences of {draws}", "gradients a draw", f"smallest ESS of {', '.join(names)}"]
        self.table("one model, by centring of its effects", heads, rows)
        return least

    def graph(self, result: jl.Result) -> None:
        """Draw the model of a result, ``NAME_graph.svg``."""
        model: jl.Model = cast(Any, result.posterior.density).model
        self.figure(model.graph(result.posterior.data).draw().figure, f"{self.name}_graph")

    def figure(self, figure: Any, name: str = "") -> None:
        """Save the figure of the row, ``NAME.svg``, or another one."""
        path = save(figure, self.out / f"{name or self.name}.svg")
        plt.close(figure)
        self.console.print(f"figure: {path}", style="dim", highlight=False, soft_wrap=True)


def plus_minus(draws: np.ndarray) -> str:
    """Mean and standard deviation as text, ``0.52 ± 0.04``."""
    return f"{draws.mean():.2f} ± {draws.std():.2f}"
