"""Gallery: survival, by a Weibull regression of censored times."""

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
PATIENTS = 300
TRUE = {"log_scale": 2.5, "effect": 0.6, "shape": 1.4}


def _likelihood(p: Any, d: Any) -> dict[str, dist.Distribution]:
    """Log likelihood: the density of a relapse, or if censored the probability of a later one."""
    scale = jnp.exp(p.log_scale + p.effect * d.treated)
    log_survival = -((d.months / scale) ** p.shape)
    log_density = dist.Weibull(scale, p.shape).log_prob(d.months)
    return {"months": jl.Factor(jnp.where(d.relapsed, log_density, log_survival))}


#: Scales of the times of both arms; the treatment multiplies times by ``exp(effect)``.
model = jl.Model(
    prior={"log_scale": dist.Normal(0.0, 5.0), "effect": dist.Normal(0.0, 2.0), "shape": dist.LogNormal(0.0, 1.0)},
    likelihood=_likelihood,
    derived=lambda p, d: {"median": jnp.exp(p.log_scale + p.effect * jnp.arange(2)) * jnp.log(2.0) ** (1 / p.shape)},
    dims={"months": ("patient",), "median": ("arm",)},
    name="censored Weibull",
)


def survival(page: Page) -> dict[str, Any]:
    """Months until a relapse of treated and untreated patients, in a study that ends before all have relapsed."""
    rng = np.random.default_rng(page.seed)
    treated = np.tile([0, 1], PATIENTS // 2)
    relapse = np.exp(TRUE["log_scale"] + TRUE["effect"] * treated) * rng.weibull(TRUE["shape"], PATIENTS)
    seen = rng.uniform(4, 24, PATIENTS)  # months from entry to the end of the study
    data = {"months": np.minimum(relapse, seen), "relapsed": relapse <= seen, "treated": treated}
    fit = jl.fit(model, data, NUTS, page.seed, coords={"arm": ["untreated", "treated"]})

    medians = np.exp(TRUE["log_scale"] + TRUE["effect"] * np.arange(2)) * np.log(2) ** (1 / TRUE["shape"])
    truth = {**TRUE, "median": medians}
    page.posterior(fit, truth)
    longer, drawn = np.exp(fit.params["effect"]), fit.derived["median"]
    ended = [np.median(data["months"][data["relapsed"] & (treated == arm)]) for arm in (0, 1)]
    page.say(
        f"{np.sum(~data['relapsed'])} of {PATIENTS} patients had no relapse while they were seen. They still tell that "
        f"theirs comes later. Half of the untreated relapse within {plus_minus(drawn[..., 0])} months and half of the "
        f"treated within {plus_minus(drawn[..., 1])}; in truth {medians[0]:.1f} and {medians[1]:.1f}. Who looks only at "
        f"relapses that were seen finds {ended[0]:.1f} and {ended[1]:.1f}, too early and nearly alike. The treatment makes "
        f"times longer by a factor of {plus_minus(longer)} (in truth {np.exp(TRUE['effect']):.2f})."
    )

    figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    grid = np.linspace(1e-6, 24, 200)
    shape = fit.params["shape"].reshape(-1, 1)
    for arm, (name, colour) in enumerate((("untreated", COLOURS[3]), ("treated", COLOURS[0]))):
        scale = np.exp(fit.params["log_scale"] + arm * fit.params["effect"]).reshape(-1, 1)
        curves = np.exp(-((grid / scale) ** shape))
        ax.fill_between(grid, *np.quantile(curves, [0.03, 0.97], axis=0), color=colour, alpha=0.3, lw=0)
        ax.plot(grid, curves.mean(0), color=colour, label=f"{name}: posterior mean, 94%")
        months, relapsed = data["months"][treated == arm], data["relapsed"][treated == arm]
        times, left = kaplan_meier(months, relapsed)
        ax.step(times, left, where="post", color=colour, lw=0.8, alpha=0.9)
        censored = months[~relapsed]
        ax.plot(censored, left[np.searchsorted(times, censored, "right") - 1], "|", color=colour, markersize=5)
        true_scale = np.exp(TRUE["log_scale"] + TRUE["effect"] * arm)
        ax.plot(grid, np.exp(-((grid / true_scale) ** TRUE["shape"])), "--", label="truth" if arm else None, **TRUTH)
    ax.plot([], [], "k-|", lw=0.8, label="Kaplan-Meier; tick: last seen without relapse")
    ax.set(xlabel="months since entry", ylabel="share without relapse", ylim=(0, 1.02), xlim=(0, 24))
    ax.legend(loc="lower left")
    page.figure(figure)
    return {"fit": fit, "truth": truth, "data": data}


def kaplan_meier(times: np.ndarray, ended: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The product-limit estimate of survival (Kaplan and Meier 1958).

    Args:
        times: ``(N,)``, of event or censoring.
        ended: ``(N,)``, whether the event happened.

    Returns:
        Times in order, from 0, and the survival probability after each.
    """
    order = np.argsort(times)
    at_risk = len(times) - np.arange(len(times))
    return np.append(0.0, times[order]), np.append(1.0, np.cumprod(1 - ended[order] / at_risk))
