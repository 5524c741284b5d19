"""Gallery: an autoregressive series of order two, and a forecast."""

from typing import Any

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent.demos.regression.figures import TRUTH
from jaxlatent.demos.regression.page import Page, plus_minus
from jaxlatent.plots.style import COLOURS

NUTS = jl.NUTS(chains=4, warmup=500, draws=500)
SEEN, AHEAD = 200, 30
TRUE: dict[str, Any] = {"intercept": 2.0, "lag": np.array([1.5, -0.8]), "sigma": 1.0}


def _derived(p: Any, d: Any) -> dict[str, Any]:
    """Mean level, and years from crest to crest: infinite where the series does not swing."""
    cosine = p.lag[0] / (2 * jnp.sqrt(jnp.maximum(-p.lag[1], 1e-6)))
    return {
        "mean_level": p.intercept / (1 - p.lag.sum()),
        "period": 2 * jnp.pi / jnp.arccos(jnp.clip(cosine, -1.0, 1.0)),
    }


#: Each value is regressed on the two before it, and the first two are given.
model = jl.Model(
    prior={
        "intercept": dist.Normal(0.0, 10.0),
        "lag": dist.Normal(0.0, 2.0).expand([2]).to_event(1),
        "sigma": dist.HalfNormal(5.0),
    },
    likelihood=lambda p, d: {"y": dist.Normal(p.intercept + d.before @ p.lag, p.sigma)},
    derived=_derived,
    dims={"lag": ("lag",), "y": ("year",)},
    name="AR(2)",
)


def series(page: Page) -> dict[str, Any]:
    """Two hundred years of the level of a lake, which swings, and a forecast of thirty more."""
    rng = np.random.default_rng(page.seed)
    y = np.full(100 + SEEN + AHEAD, 6.0)
    for t in range(2, len(y)):
        y[t] = TRUE["intercept"] + TRUE["lag"] @ y[[t - 1, t - 2]] + rng.normal(0.0, TRUE["sigma"])
    y, later = np.split(y[100:], [SEEN])  # the first hundred years let it forget how it started
    data = {"y": y[2:], "before": np.stack([y[1:-1], y[:-2]], 1)}
    fit = jl.fit(model, data, NUTS, page.seed, coords={"lag": [1, 2]})

    level = TRUE["intercept"] / (1 - TRUE["lag"].sum())
    period = 2 * np.pi / np.arccos(TRUE["lag"][0] / (2 * np.sqrt(-TRUE["lag"][1])))
    truth = {**TRUE, "mean_level": level, "period": period}
    page.posterior(fit, truth)
    paths = forecast(fit, y, rng)
    low, middle, high = np.quantile(paths, [0.03, 0.5, 0.97], axis=0)
    spread = paths.std(0)
    page.say(
        f"A high year is followed by a high one (lag 1: {plus_minus(fit.params['lag'][..., 0])}), but a high year before "
        f"that pulls down (lag 2: {plus_minus(fit.params['lag'][..., 1])}): together they make swings of "
        f"{plus_minus(fit.derived['period'])} years, in truth {period:.2f}. A forecast knows the next year to ± "
        f"{spread[0]:.1f}; {AHEAD} years ahead it has lost the phase and knows little but mean and spread, ± "
        f"{spread[-1]:.1f}. The 94% band holds {np.sum((later > low) & (later < high))} of the {AHEAD} values that came."
    )

    figure, ax = plt.subplots(figsize=(8.0, 3.4), layout="constrained")
    years, coming = np.arange(SEEN), SEEN + np.arange(AHEAD)
    ax.axhline(level, linestyle="--", label="true mean", **TRUTH)
    ax.plot(years, y, color="black", label="seen")
    ax.plot(coming, later, "o", markersize=3.5, label="what came", **TRUTH)
    ax.fill_between(coming, low, high, color=COLOURS[5], alpha=0.35, lw=0, label="forecast, 94%")
    ax.fill_between(coming, *np.quantile(paths, [0.25, 0.75], axis=0), color=COLOURS[0], alpha=0.4, lw=0, label="50%")
    ax.plot(coming, middle, color=COLOURS[0], label="median")
    ax.set(xlabel="year", ylabel="level of the lake, cm above the mark", xlim=(SEEN - 110, SEEN + AHEAD))
    figure.legend(loc="outside upper center", ncols=6)
    page.figure(figure)
    return {"fit": fit, "truth": truth, "y": y, "later": later, "paths": paths}


def forecast(fit: jl.Result, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One continuation ``(draw, AHEAD)`` of the series for each draw of the parameters."""
    intercept, sigma = fit.params["intercept"].ravel(), fit.params["sigma"].ravel()
    lag = fit.params["lag"].reshape(-1, 2)
    path = np.tile(y[-2:], (len(sigma), 1))
    for _ in range(AHEAD):
        mean = intercept + lag[:, 0] * path[:, -1] + lag[:, 1] * path[:, -2]
        path = np.column_stack([path, rng.normal(mean, sigma)])
    return path[:, 2:]
