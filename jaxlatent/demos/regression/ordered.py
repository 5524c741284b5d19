"""Gallery: ordinal answers, by a latent scale with cutpoints."""

from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent.demos.regression.figures import TRUTH, intervals
from jaxlatent.demos.regression.page import Page, plus_minus
from jaxlatent.plots.style import COLOURS

NUTS = jl.NUTS(chains=4, warmup=500, draws=500)
ANSWERS = ["very bad", "bad", "fair", "good", "very good"]
TRUE: dict[str, Any] = {"slope": -0.8, "cutpoints": np.array([-5.0, -4.0, -2.0, 0.5])}

#: A logistic scale of contentment, cut into answers; waiting moves guests down the scale.
model = jl.Model(
    prior={
        "slope": dist.Normal(0.0, 2.0),
        "cutpoints": jl.ordered(dist.Normal(0.0, 5.0).expand([4])),
    },
    likelihood=lambda p, d: {"answer": dist.OrderedLogistic(p.slope * d.waited, p.cutpoints)},
    dims={"cutpoints": ("between",), "answer": ("guest",)},
    name="ordered answers",
)


def ordered(page: Page) -> dict[str, Any]:
    """How content the guests of a restaurant are, by how long they waited."""
    rng = np.random.default_rng(page.seed)
    waited = rng.uniform(0, 6, 400)  # in units of ten minutes
    content = TRUE["slope"] * waited + rng.logistic(size=400)
    answer = np.searchsorted(TRUE["cutpoints"], content)
    borders = [f"{low} | {high}" for low, high in pairwise(ANSWERS)]
    fit = jl.fit(model, {"answer": answer, "waited": waited}, NUTS, page.seed, coords={"between": borders})
    page.posterior(fit, TRUE)

    slope, cutpoints = fit.params["slope"].reshape(-1, 1), fit.params["cutpoints"].reshape(-1, 4)
    widths = np.diff(cutpoints, axis=1)
    grid = np.linspace(0, 6, 61)
    at_most = 1 / (1 + np.exp(slope[..., None] * grid[:, None] - cutpoints[:, None]))  # (draw, grid, cutpoint)
    true_at_most = 1 / (1 + np.exp(TRUE["slope"] * grid[:, None] - TRUE["cutpoints"]))
    good, true_good = 1 - at_most[:, [10, 50], 2], 1 - true_at_most[[10, 50], 2]
    page.say(
        f"Ten minutes more multiply the odds of any better answer by {plus_minus(np.exp(slope))} (in truth "
        f"{np.exp(TRUE['slope']):.2f}). After 10 minutes {100 * good[:, 0].mean():.0f}% say good or better, after 50 minutes "
        f"{100 * good[:, 1].mean():.0f}% (in truth {100 * true_good[0]:.0f}% and {100 * true_good[1]:.0f}%). Answers are not "
        f"numbers with equal steps: fair is {plus_minus(widths[:, 1])} wide on the latent scale, bad only "
        f"{plus_minus(widths[:, 0])}, and the data tell these widths."
    )

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.8), layout="constrained", width_ratios=(3, 2))
    middles = np.arange(6) + 0.5
    for i, colour in enumerate((COLOURS[3], COLOURS[4], COLOURS[2], COLOURS[0])):
        minutes = 10 * grid
        left.fill_between(minutes, *np.quantile(at_most[..., i], [0.03, 0.97], axis=0), color=colour, alpha=0.35, lw=0)
        left.plot(minutes, at_most[..., i].mean(0), color=colour, label=f"{ANSWERS[i]}{' or worse' if i else ''}")
        left.plot(minutes, true_at_most[:, i], "--", label="truth" if i == 3 else None, **TRUTH)
        share = [np.mean(answer[np.floor(waited) == bin] <= i) for bin in range(6)]
        left.plot(10 * middles, share, "o", color=colour, markeredgecolor="black", markersize=4)
    left.plot([], [], "o", color="white", markeredgecolor="black", markersize=4, label="guests seen")
    left.set(xlabel="minutes waited", ylabel="share of answers, mean and 94%", xlim=(0, 60), ylim=(0, 1.01))
    intervals(right, dict(zip(borders, cutpoints.T, strict=True)), TRUE["cutpoints"], "cutpoint on the latent scale")
    lines, labels = (
        a + b[:1] for a, b in zip(left.get_legend_handles_labels(), right.get_legend_handles_labels(), strict=True)
    )
    figure.legend(lines, labels, loc="outside upper center", ncols=4)
    page.figure(figure)
    return {"fit": fit, "truth": TRUE, "data": {"answer": answer, "waited": waited}}
