"""Gallery: first models, of a sum, a coin, a line, and several predictors."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import jaxlatent as jl
from jaxlatent.demos.regression.figures import TRUTH, intervals
from jaxlatent.demos.regression.page import Page, plus_minus
from jaxlatent.plots.style import COLOURS, GREY

NUTS = jl.NUTS(chains=4, warmup=500, draws=500)


def forward(page: Page) -> dict[str, Any]:
    """A jar weighs ``a``, its filling ``b``; the scales show only how heavy several full jars are together."""
    model = jl.Model(
        prior={"a": dist.Normal(2.0, 0.5), "b": dist.Normal(3.0, 0.2)},
        likelihood=lambda p, d: {"weight": dist.Normal((p.a + p.b) * d.jars, 0.3)},
        derived=lambda p, d: {"c": p.a + p.b},
        dims={"weight": ("weighing",)},
        name="jars",
    )
    a, b, jars = 2.4, 2.9, np.array([1, 2, 3])
    weight = np.random.default_rng(page.seed).normal((a + b) * jars, 0.3)
    more = {"jars": np.arange(1, 9)}

    params, derived, before = jl.sample_prior(model, more, draws=4000, seed=page.seed)[:3]
    fit = jl.fit(
        model, {"weight": weight, "jars": jars}, NUTS, page.seed, coords={"weighing": ["first", "second", "third"]}
    )
    after = fit.predict(page.seed, more)["weight"].reshape(-1, 8)

    prior = {**params, **derived}
    page.table(
        "kg, before and after three weighings",
        ["", "truth", "prior mean", "sd", "posterior mean", "sd"],
        (
            [name, f"{true:.2f}", *(f"{x:.2f}" for x in (prior[name].mean(), prior[name].std(), now.mean(), now.std()))]
            for (name, now), true in zip({**fit.params, **fit.derived}.items(), (a, b, a + b), strict=True)
        ),
    )
    correlation = np.corrcoef(fit.params["a"].ravel(), fit.params["b"].ravel())[0, 1]
    page.say(
        f"Before any data, c = a + b has standard deviation {prior['c'].std():.2f}: variances add up. Three weighings pin the sum "
        f"down to {fit.derived['c'].std():.2f}, yet tell little about its parts: what a gains, b must lose (correlation "
        f"{correlation:.2f}). Eight jars are predicted to weigh {before['weight'][:, -1].mean():.1f} ± "
        f"{before['weight'][:, -1].std():.1f} kg from the prior, {after[:, -1].mean():.1f} ± {after[:, -1].std():.1f} kg "
        f"from the posterior; their true weight is {8 * (a + b):.1f}."
    )

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), layout="constrained")
    for (name, values), colour in zip(prior.items(), (COLOURS[2], COLOURS[3], COLOURS[0]), strict=True):
        left.hist(values, 60, density=True, color=colour, alpha=0.6, label="c = a + b" if name == "c" else name)
    grid = np.linspace(3, 7, 200)
    left.plot(grid, stats.norm(5, np.hypot(0.5, 0.2)).pdf(grid), color="black", label="c, exact")
    left.set(xlabel="weight, kg", ylabel="prior density", ylim=(0, 2.6))
    left.legend(ncols=2)
    for drawn, colour, label in ((before["weight"], GREY, "prior"), (after, COLOURS[0], "posterior")):
        low, high = np.quantile(drawn, [0.03, 0.97], axis=0)
        right.fill_between(more["jars"], low, high, color=colour, alpha=0.4, lw=0, label=f"{label} predictive, 94%")
    right.plot(more["jars"], (a + b) * more["jars"], "--", label="truth", **TRUTH)
    right.plot(jars, weight, "ko", markersize=4, label="weighed")
    right.set(xlabel="jars on the scales", ylabel="weight, kg")
    right.legend(loc="upper left")
    page.figure(figure)
    return {"fit": fit, "prior": prior, "before": before["weight"], "after": after, "truth": {"a": a, "b": b}}


def coin(page: Page) -> dict[str, Any]:
    """Eight heads in ten tosses under a flat prior: the posterior is Beta(9, 3)."""
    model = jl.Model(
        prior={"p": dist.Beta(1.0, 1.0)},
        likelihood=lambda p, d: {"heads": dist.Binomial(d.tosses, probs=p.p)},
        name="coin",
    )
    fit = jl.fit(model, {"heads": 8, "tosses": 10}, NUTS, page.seed)
    draws, exact = fit.params["p"].ravel(), stats.beta(9, 3)
    again = fit.predict(page.seed)["heads"].ravel()

    asked = {
        "mean": (draws.mean(), exact.mean()),
        "sd": (draws.std(), exact.std()),
        "3%": (np.quantile(draws, 0.03), exact.ppf(0.03)),
        "97%": (np.quantile(draws, 0.97), exact.ppf(0.97)),
        "P(p > 1/2)": (np.mean(draws > 0.5), exact.sf(0.5)),
        "P(8 or more heads in the next ten)": (np.mean(again >= 8), stats.betabinom(10, 9, 3).sf(7)),
    }
    page.table(
        "probability of heads",
        ["", "NUTS", "exact, Beta(9, 3)"],
        ([what, f"{drawn:.3f}", f"{true:.3f}"] for what, (drawn, true) in asked.items()),
    )
    page.say(
        f"The flat prior counts as one head and one tail seen before, so the mean is {exact.mean():.2f} and not 8/10. Ten "
        f"tosses leave much open: the coin favours heads with probability {asked['P(p > 1/2)'][0]:.2f}, but another ten show "
        f"eight heads or more only with probability {asked['P(8 or more heads in the next ten)'][0]:.2f}."
    )

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.0), layout="constrained")
    grid = np.linspace(0, 1, 300)
    left.hist(draws, 40, density=True, color=COLOURS[5], label="draws")
    left.plot(grid, exact.pdf(grid), color="black", label="exact, Beta(9, 3)")
    left.axhline(1.0, color=GREY, linestyle="--", label="prior, Beta(1, 1)")
    left.set(xlabel="probability of heads", ylabel="density", xlim=(0, 1))
    left.legend(loc="upper left")
    counts = np.arange(11)
    right.bar(counts, np.bincount(again, minlength=11) / again.size, color=COLOURS[5], label="predictive draws")
    right.plot(counts, stats.betabinom(10, 9, 3).pmf(counts), "ko", markersize=4, label="exact, beta-binomial")
    right.set(xlabel="heads in the next ten tosses", ylabel="probability", xticks=counts[::2])
    right.legend(loc="upper left")
    page.figure(figure)
    return {"fit": fit, "again": again}


def line(page: Page) -> dict[str, Any]:
    """A straight line with normal noise through 100 points."""
    model = jl.Model(
        prior={
            "intercept": dist.Normal(0.0, 10.0),
            "slope": dist.Normal(0.0, 10.0),
            "sigma": dist.Exponential(1.0),
        },
        likelihood=lambda p, d: {"y": dist.Normal(p.intercept + p.slope * d.x, p.sigma)},
        name="line",
    )
    truth: dict[str, Any] = {"intercept": 1.0, "slope": 2.0, "sigma": 1.5}
    rng = np.random.default_rng(page.seed)
    x = np.sort(rng.uniform(-3, 3, 100))
    y = truth["intercept"] + truth["slope"] * x + truth["sigma"] * rng.normal(size=100)

    fit = jl.fit(model, {"x": x, "y": y}, NUTS, page.seed)
    page.posterior(fit, truth)

    grid = np.linspace(-3.5, 3.5, 100)
    lines = fit.params["intercept"].reshape(-1, 1) + fit.params["slope"].reshape(-1, 1) * grid
    points = fit.predict(page.seed, {"x": grid})["y"].reshape(-1, 100)
    inside, (low, high) = np.abs(grid) < 3, np.quantile(points, [0.03, 0.97], axis=0)
    covered = np.mean((y > np.interp(x, grid, low)) & (y < np.interp(x, grid, high)))
    page.say(
        f"Two kinds of uncertainty: where the line is (± {lines.std(0)[inside].mean():.2f} on average), which more data would "
        f"shrink, and where a new point falls (± {points.std(0)[inside].mean():.2f}), which they would not. "
        f"The 94% band of new points holds {100 * covered:.0f}% of those seen."
    )

    figure, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
    ax.fill_between(grid, low, high, color=COLOURS[5], alpha=0.35, lw=0, label="new points, 94%")
    ax.fill_between(
        grid, *np.quantile(lines, [0.03, 0.97], axis=0), color=COLOURS[0], alpha=0.6, lw=0, label="line, 94%"
    )
    ax.plot(x, y, ".", color="black", markersize=4, label="data")
    ax.plot(grid, truth["intercept"] + truth["slope"] * grid, "--", label="true line", **TRUTH)
    ax.set(xlabel="x", ylabel="y")
    ax.legend(loc="upper left")
    page.figure(figure)
    return {"fit": fit, "truth": truth}


def predictors(page: Page) -> dict[str, Any]:
    """Five predictors: two of them do nothing, two of them nearly say the same."""
    model = jl.Model(
        prior={
            "intercept": dist.Normal(0.0, 10.0),
            "slope": dist.Normal(0.0, 10.0).expand([5]).to_event(1),
            "sigma": dist.Exponential(1.0),
        },
        likelihood=lambda p, d: {"y": dist.Normal(p.intercept + d.x @ p.slope, p.sigma)},
        dims={"slope": ("predictor",)},
        name="predictors",
    )
    truth: dict[str, Any] = {"intercept": 0.5, "slope": np.array([1.0, -2.0, 0.0, 0.0, 1.5]), "sigma": 1.0}
    rng = np.random.default_rng(page.seed)
    x = rng.normal(size=(200, 5))
    x[:, 4] = 0.95 * x[:, 0] + np.sqrt(1 - 0.95**2) * x[:, 4]  # the last is nearly the first
    y = truth["intercept"] + x @ truth["slope"] + truth["sigma"] * rng.normal(size=200)

    names = ["x1", "x2", "x3", "x4", "x5"]
    fit = jl.fit(model, {"x": x, "y": y}, NUTS, page.seed, coords={"predictor": names})
    page.posterior(fit, truth)
    slopes = fit.params["slope"].reshape(-1, 5)
    both = slopes[:, 0] + slopes[:, 4]
    page.say(
        f"x3 and x4 have no effect; their slopes come out as {plus_minus(slopes[:, 2])} and {plus_minus(slopes[:, 3])}. "
        f"x1 and x5 go together (correlation {np.corrcoef(x[:, 0], x[:, 4])[0, 1]:.2f}), so the data can hardly tell their "
        f"effects apart: {plus_minus(slopes[:, 0])} and {plus_minus(slopes[:, 4])}. The sum of both they know well: "
        f"{plus_minus(both)}, in truth 2.50."
    )

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained", width_ratios=(3, 2))
    intervals(left, dict(zip(names, slopes.T, strict=True)), truth["slope"], "change of y for a unit of the predictor")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    right.plot(slopes[:, 0], slopes[:, 4], ".", color=COLOURS[0], markersize=2, alpha=0.5, label="draws")
    right.plot(*truth["slope"][[0, 4]], "+", markersize=14, markeredgewidth=2, label="truth", **TRUTH)
    right.set(xlabel="slope of x1", ylabel="slope of x5")
    right.legend()
    page.figure(figure)
    return {"fit": fit, "truth": truth}
