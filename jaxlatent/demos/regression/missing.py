"""Gallery: missing data, in an outcome and in a covariate."""

from typing import Any

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent.demos.regression.figures import TRUTH, intervals
from jaxlatent.demos.regression.page import Page, plus_minus
from jaxlatent.plots.style import COLOURS, GREY

NUTS = jl.NUTS(chains=4, warmup=500, draws=500)
PEOPLE = 400
TRUE = {
    "usual_hours": 5.0,
    "hours_by_age": -1.0,
    "sd_hours": 1.3,
    "intercept": 19.0,
    "by_hour": 1.0,
    "by_age": -2.0,
    "sigma": 2.5,
}

#: Fitness by age and hours of sport. Hours that were not kept are parameters, and their prior is what others of that age do.
imputing = jl.Model(
    prior={
        "usual_hours": dist.Normal(0.0, 10.0),
        "hours_by_age": dist.Normal(0.0, 10.0),
        "sd_hours": dist.HalfNormal(5.0),
        "lost_hours": lambda p, d: jl.noncentred(dist.Normal(_usual(p, d)[d.lost], p.sd_hours).to_event(1)),
        "intercept": dist.Normal(0.0, 50.0),
        "by_hour": dist.Normal(0.0, 10.0),
        "by_age": dist.Normal(0.0, 10.0),
        "sigma": dist.HalfNormal(5.0),
    },
    likelihood=lambda p, d: {
        "hours": dist.Normal(_usual(p, d), p.sd_hours),
        "fitness": dist.Normal(
            p.intercept + p.by_hour * d.hours.at[d.lost].set(p.lost_hours) + p.by_age * d.age, p.sigma
        ),
    },
    derived=lambda p, d: {"average": p.intercept + p.by_hour * p.usual_hours},
    dims={"lost_hours": ("lost",), "hours": ("person",), "fitness": ("person",)},
    name="imputing",
)

#: The same regression for people of whom all is known.
complete = jl.Model(
    prior={name: imputing.prior[name] for name in ("intercept", "by_hour", "by_age", "sigma")},
    likelihood=lambda p, d: {
        "fitness": dist.Normal(p.intercept + p.by_hour * d.hours + p.by_age * d.age, p.sigma),
    },
    name="complete rows",
)


def _usual(p: Any, d: Any) -> Any:
    """Mean hours of sport a week, by age."""
    return p.usual_hours + p.hours_by_age * d.age


def missing(page: Page) -> dict[str, Any]:
    """Fitness by age and hours of sport: the old skip the test, and the fit do not keep the diary."""
    rng = np.random.default_rng(page.seed)
    age = rng.normal(size=PEOPLE)
    hours = rng.normal(TRUE["usual_hours"] + TRUE["hours_by_age"] * age, TRUE["sd_hours"])
    fitness = rng.normal(TRUE["intercept"] + TRUE["by_hour"] * hours + TRUE["by_age"] * age, TRUE["sigma"])
    tested = rng.uniform(size=PEOPLE) < 1 / (1 + np.exp(2 * age - 2))
    kept = ~tested | (rng.uniform(size=PEOPLE) < 1 / (1 + np.exp(2 * (fitness - 25))))
    whole, lost = tested & kept, np.flatnonzero(~kept)

    seen = {"hours": (hours, kept), "fitness": (fitness, tested)}
    data = {name: jl.Masked(*map(jnp.asarray, pair)) for name, pair in seen.items()} | {"age": age, "lost": lost}
    fit = jl.fit(imputing, data, NUTS, page.seed)
    rows = {"age": age[whole], "hours": hours[whole], "fitness": fitness[whole]}
    naive = jl.fit(complete, rows, NUTS, page.seed)

    truth = {**TRUE, "average": TRUE["intercept"] + TRUE["by_hour"] * TRUE["usual_hours"]}
    page.posterior(fit, truth)
    slopes = {"complete rows": naive.params["by_hour"], "all rows, imputed": fit.params["by_hour"]}
    page.contrast("what an hour of sport a week does", slopes, dict.fromkeys(slopes, TRUE["by_hour"]))
    imputed = fit.params["lost_hours"].reshape(-1, len(lost))
    low, high = np.quantile(imputed, [0.03, 0.97], axis=0)
    inside = np.mean((hours[lost] > low) & (hours[lost] < high))
    page.say(
        f"Of {PEOPLE} people, {np.sum(~tested)} skipped the test, mostly old ones, and {len(lost)} kept no diary, mostly fit "
        f"ones; of {whole.sum()} all is known. Among these the fit are missing who do much sport, so an hour seems to be "
        f"worth only {plus_minus(slopes['complete rows'])}, and their mean fitness, {fitness[whole].mean():.1f}, is not that "
        f"of all. With each lost entry a parameter, an hour is worth {plus_minus(slopes['all rows, imputed'])}, and average "
        f"fitness is {plus_minus(fit.derived['average'])} (in truth {truth['average']:.1f}). The 94% intervals of the lost "
        f"hours hold {100 * inside:.0f}% of them. This works since who is missing depends on what was seen only."
    )

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained", width_ratios=(3, 2))
    left.plot(hours[whole], fitness[whole], ".", color="black", markersize=4, label="all known")
    drawn = {"color": COLOURS[0], "mfc": "white", "markersize": 4, "label": "hours imputed: one draw"}
    left.plot(imputed[-1], fitness[lost], "o", **drawn)
    foot = left.get_xaxis_transform()  # heights as shares of the axis
    left.plot(hours[~tested], np.full(int(np.sum(~tested)), 0.02), "|", color=GREY, transform=foot, label="not tested")
    grid = np.array([1.0, 10.0])
    for result, colour, label in ((naive, GREY, "complete rows"), (fit, COLOURS[0], "imputed")):
        mean = result.mean()
        left.plot(grid, mean["intercept"] + mean["by_hour"] * grid, color=colour, lw=2, label=f"{label}: average age")
    left.plot(grid, TRUE["intercept"] + TRUE["by_hour"] * grid, "--", lw=2, label="truth: average age", **TRUTH)
    left.set(xlabel="hours of sport a week", ylabel="fitness")
    intervals(right, slopes, [TRUE["by_hour"]] * 2, "fitness gained by an hour of sport a week")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    page.figure(figure)
    return {"fit": fit, "naive": naive, "truth": truth, "data": data, "hours": hours}
