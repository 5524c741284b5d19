"""The tables of the census analysis."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

import jaxlatent as jl
from jaxlatent.demos.census import Fits
from jaxlatent.demos.printing import print_table
from jaxlatent.diagnostics import geweke as geweke_scores
from jaxlatent.diagnostics import mcse_mean
from jaxlatent.results.summary import labels

#: Left out of the parameter table: quantities with a table of their own, and a matrix whose free entry is shown as ``rho``.
_ELSEWHERE = ("p", "advantage", "corr_chol")

#: Importance weights whose logarithms have a smaller standard deviation are nearly equal.
_EQUAL = 0.1


def model(console: Console, title: str, fits: Fits, summary: pd.DataFrame) -> None:
    """Print the estimates by NUTS, MAP and ADVI, and their diagnostics."""
    names = [name for name in {**fits.nuts.params, **fits.nuts.derived} if name not in _ELSEWHERE]
    point, found = _maximum(fits.map, names)
    best = fits.advi.best()
    advi = _moments(best, names)
    low, high = (column for column in summary.columns if column.startswith("eti"))
    heads = ["mean", "sd", low[4:], high[4:], "mcse", "ESS bulk", "ESS tail", "R-hat", "MAP", "ADVI", "ADVI sd"]
    rows = []
    for row in advi.index:
        one, other = summary.loc[row], advi.loc[row]
        cells = [
            *(f"{one[column]:.3f}" for column in ("mean", "sd", low, high)),
            f"{one.mcse_mean:.4f}",
            *(f"{one[column]:.0f}" for column in ("ess_bulk", "ess_tail")),
            f"{one.r_hat:.3f}",
            "—" if point is None else f"{point[row]:.3f}",
            *(f"{other[column]:.3f}" for column in ("mean", "sd")),
        ]
        rows.append([row, *cells])
    print_table(console, title, ["", *heads], rows)
    seconds = fits.nuts.provenance.timings
    console.print(
        f"NUTS: {_count(int(fits.nuts.statistics['diverging'].sum()), 'divergence')}, "
        f"worst R-hat {summary.r_hat.max():.3f}, "
        f"smallest ESS {min(summary.ess_bulk.min(), summary.ess_tail.min()):.0f}; "
        f"{seconds['total']:.1f} s, of which {seconds['compile']:.1f} s compiling"
    )
    console.print(f"MAP: {found}", style="yellow" if point is None else None)
    k_hat, spread = float(best.statistics["khat"][0]), float(np.std(best.statistics["lp"] - best.statistics["log_q"]))
    console.print(f"ADVI: k-hat {k_hat:.2f}, log importance weights vary by {spread:.2g}, {_outcome(best.status[0])}")
    if not k_hat <= 0.7:
        # With nearly equal weights, k-hat measures a tail that does not matter.
        verdict = (
            "but the weights are nearly equal, so"
            if spread < _EQUAL
            else "the approximation misses part of the posterior:"
        )
        advice = "the approximation is close all the same." if spread < _EQUAL else "do not rely on its numbers."
        console.print(f"ADVI: k-hat is above 0.7, {verdict} {advice}", style="yellow")


def _moments(result: jl.Result, names: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation of independent draws."""
    values = {**result.params, **result.derived}
    rows = {
        label: (draws.mean(), draws.std(ddof=1))
        for name in names
        for label, draws in zip(
            labels(result, name, values[name]), values[name].reshape(-1, values[name][0, 0].size).T, strict=True
        )
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "sd"])


def _maximum(fit: jl.Result, names: Sequence[str]) -> tuple[pd.Series | None, str]:
    """The best of the converged restarts by parameter, or None; and a note on it."""
    converged = fit.status == jl.Status.CONVERGED
    if not converged.any():
        return None, (
            f"none found ({_outcome(fit.status[np.argmax(fit.objective)])}); in a hierarchy the joint density often "
            "has no maximum: it grows without bound as a standard deviation goes to zero"
        )
    text = f"converged, {converged.sum()} of {len(converged)} restarts, log density {fit.best().objective:.2f}"
    return fit.best().summary(names)["value"], text


def _outcome(code: np.integer) -> str:
    return jl.Status(int(code)).name.lower().replace("_", " ")


def comparison(console: Console, compared: jl.diagnostics.Comparison, models: Mapping[str, jl.Model]) -> None:
    """Print a comparison of models on the deviance scale."""
    kind = compared.kind.upper()
    heads = [kind, "se", "p", "difference", "se of it", "stacking", "pseudo-BMA+", "warning"]
    columns = (
        -2 * compared.elpd,
        2 * compared.se,
        compared.p,
        -2 * compared.elpd_diff + 0.0,
        2 * compared.se_diff,
        compared.stacking,
        compared.pseudo_bma,
    )
    formats = (".1f", ".1f", ".1f", ".1f", ".1f", ".2f", ".2f")
    rows = []
    for i, name in enumerate(compared.names):
        cells = [format(column[i], form) for column, form in zip(columns, formats, strict=True)]
        rows.append([f"{name} {models[name].name}", *cells, "yes" if compared.warnings[i] else ""])
    print_table(console, f"{kind} on the deviance scale: smaller is better", ["", *heads], rows)
    for name, text in zip(compared.names, compared.warnings, strict=True):
        if text:
            console.print(f"{name}: {text}", style="dim")


def correlations(console: Console, result: jl.Result, name: str) -> None:
    """Print the posterior correlations of the entries of a parameter."""
    values = result.params[name]
    education = result.coords["education"]
    matrix = np.corrcoef(values.reshape(-1, values.shape[-1]).T)
    rows = [[label, *(f"{value:.2f}" for value in row)] for label, row in zip(education, matrix, strict=True)]
    print_table(console, f"posterior correlations of {name} in C3", ["", *education], rows)


def geweke(console: Console, result: jl.Result, name: str) -> None:
    """Print the fraction of Geweke's scores outside two standard errors."""
    scores = np.asarray(geweke_scores(result.params[name])[1])
    scores = scores[np.isfinite(scores)]
    beyond = 100 * np.mean(np.abs(scores) > 2) if scores.size else np.nan
    console.print(
        f"\nGeweke: of {scores.size} z-scores of {name} in C3 (15 intervals), {beyond:.1f}% are beyond ±2 "
        "(stationary chains: 5%)"
    )


def questions(
    console: Console, fits: Mapping[str, Fits], summaries: Mapping[str, pd.DataFrame], predicted: np.ndarray
) -> None:
    """Print probabilities and predictions with their Monte Carlo errors."""
    # Men are column 1; professional school and Bachelors are educations 3 and 4.
    ahead = np.stack([fit.nuts.derived["p"][..., 4, 1] > fit.nuts.derived["p"][..., 3, 1] for fit in fits.values()], -1)
    women = predicted[..., 12]
    asked = np.concatenate([ahead, women[..., None]], -1).astype(float)
    answers, errors = asked.mean((0, 1)), np.asarray(mcse_mean(asked))
    title = "P(men with Bachelors are above $50,000 more often than men from Prof School)"
    rows = [
        [name, *(("—", "—") if name == "C1" else (f"{answer:.3f}", f"{error:.3f}"))]
        for name, answer, error in zip(fits, answers, errors, strict=False)
    ]
    print_table(console, title, ["model", "probability", "mcse"], rows)
    console.print("C1 gives all educations the same probability.", style="dim")

    quantiles = np.quantile(women, [0.03, 0.25, 0.5, 0.75, 0.97])
    observed, total = (int(fits["C3"].nuts.posterior.data[name][12]) for name in ("income", "total"))
    console.print(
        f"\nwomen with doctorates above $50,000 a year, of {total}: C3 predicts {answers[-1]:.1f} "
        f"(mcse {errors[-1]:.2f}), quantiles 3, 25, 50, 75, 97%: {', '.join(f'{q:.0f}' for q in quantiles)}; "
        f"P(at least the observed {observed}) = {np.mean(women >= observed):.2f}"
    )

    rows = []
    for label in fits["C3"].nuts.coords["education"]:
        both = (summaries[name].loc[f"advantage[{label}]"] for name in ("C3", "C5"))
        rows.append([label, *(f"{row['mean']:.3f} ({row['sd']:.3f}; {row.mcse_mean:.4f})" for row in both)])
    print_table(console, "P(above $50,000), men less women (sd; mcse)", ["", "C3", "C5"], rows)


def closing(console: Console, written: Sequence[Path], seconds: Mapping[str, float]) -> None:
    """Print the files written and the run times."""
    console.print()
    for folder in dict.fromkeys(path.parent for path in written):
        console.print(
            f"{folder}/: {', '.join(path.name for path in written if path.parent == folder)}", highlight=False
        )
    console.print(
        f"{sum(seconds.values()):.1f} s: {', '.join(f'{part} {spent:.1f}' for part, spent in seconds.items())}",
        highlight=False,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
