"""Gallery: binary events by cell, with an exact answer."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import jaxlatent as jl
from jaxlatent.demos.regression.figures import TRUTH, intervals
from jaxlatent.demos.regression.page import Page
from jaxlatent.plots.style import COLOURS

NUTS = jl.NUTS(chains=4, warmup=500, draws=500)
SEGMENTS = ["new", "regular", "lapsed"]


def events(page: Page) -> dict[str, Any]:
    """Who buys, of three segments of customers, with and without an offer: a rate for each cell."""
    model = jl.Model(
        prior={"rate": dist.Beta(1.0, 1.0).expand([3, 2]).to_event(2)},
        likelihood=lambda p, d: {"bought": dist.Bernoulli(p.rate[d.segment, d.offer])},
        derived=lambda p, d: {"difference": p.rate[:, 1] - p.rate[:, 0]},
        dims={"rate": ("segment", "offer"), "difference": ("segment",), "bought": ("customer",)},
        name="events",
    )
    rate = np.array([[0.10, 0.18], [0.45, 0.45], [0.05, 0.12]])
    rng = np.random.default_rng(page.seed)
    segment, offer = rng.choice(3, 1500, p=[0.5, 0.3, 0.2]), rng.integers(0, 2, 1500)
    bought = rng.binomial(1, rate[segment, offer])

    data = {"bought": bought, "segment": segment, "offer": offer}
    fit = jl.fit(model, data, NUTS, page.seed, coords={"segment": SEGMENTS, "offer": ["without", "with"]})
    truth: dict[str, Any] = {"rate": rate, "difference": rate[:, 1] - rate[:, 0]}
    page.posterior(fit, truth)

    yes, no = (np.array([[np.sum(bought[(segment == s) & (offer == o)] == kind) for o in (0, 1)] for s in range(3)])
               for kind in (1, 0))  # fmt: skip
    exact = stats.beta(1 + yes, 1 + no)
    difference = fit.derived["difference"].reshape(-1, 3)
    means, sds = exact.mean()[:, 1] - exact.mean()[:, 0], np.sqrt(exact.var().sum(1))
    page.table(
        "difference that the offer makes",
        ["", "P(difference > 0)", "mean", "exact mean", "sd", "exact sd"],
        (
            [name, f"{np.mean(drawn > 0):.3f}", *(f"{number:.4f}" for number in (drawn.mean(), mean, drawn.std(), sd))]
            for name, drawn, mean, sd in zip(SEGMENTS, difference.T, means, sds, strict=True)
        ),
    )
    surest = int(np.argmax(means / sds))
    page.say(
        "Each cell is a coin of its own, so each posterior is a Beta distribution, and the draws agree with it. What is asked, the "
        "difference of two rates, has no name among distributions, but from draws it is one subtraction. The case for "
        f"the offer is strongest among {SEGMENTS[surest]} customers: {100 * means[surest]:.1f} ± {100 * sds[surest]:.1f} points."
    )

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.4), layout="constrained")
    grid = np.linspace(0, 0.6, 600)
    rates = fit.params["rate"].reshape(-1, 3, 2)
    for s, colour in enumerate((COLOURS[0], COLOURS[2], COLOURS[3])):
        for o in (0, 1):
            left.hist(rates[:, s, o], 40, density=True, color=colour, alpha=0.25 + 0.4 * o)
            cell = stats.beta(1 + yes[s, o], 1 + no[s, o])
            left.plot(grid, cell.pdf(grid), color=colour, label=SEGMENTS[s] if o else None)
    left.set(xlabel="rate of buying (pale: without the offer)", ylabel="density: draws and exact Beta", ylim=(0, None))
    left.vlines(rate, 0, 1.5, linewidth=2, label="truth", **TRUTH)
    left.legend()
    intervals(
        right, dict(zip(SEGMENTS, difference.T, strict=True)), truth["difference"], "change of the rate by the offer"
    )
    right.axvline(0, color="black", linewidth=0.6)
    right.figure.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    page.figure(figure)
    return {"fit": fit, "truth": truth, "exact": exact}
