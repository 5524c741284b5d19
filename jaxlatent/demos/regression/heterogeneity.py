"""Gallery: heterogeneous treatment effects, by a common effect and by varying effects."""

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import jaxlatent as jl
from jaxlatent.demos.regression.figures import TRUTH
from jaxlatent.demos.regression.page import Page
from jaxlatent.plots.style import COLOURS, GREY

NUTS = jl.NUTS(chains=4, warmup=500, draws=500)
SEGMENTS, SUBJECTS = 40, 16
PARTS = ["baseline", "effect"]


class Experiment(NamedTuple):
    """Outcomes of both arms in all segments, with the true effects.

    Attributes:
        data: ``y``, ``segment`` and ``treated`` of each subject.
        true: ``(segment, 2)``, baseline and effect of each segment.
        raw: ``(segment,)``, difference of the means of both arms.
    """

    data: dict[str, np.ndarray]
    true: np.ndarray
    raw: np.ndarray


#: Means, standard deviations and correlation of baseline and effect over segments, and standard deviation of the noise.
MEAN, SDS, RHO, SIGMA = np.array([10.0, 2.0]), np.array([2.0, 1.0]), -0.7, 3.0


def experiment(seed: int) -> Experiment:
    """Segments with high baselines gain less; in each, every other subject is treated."""
    rng = np.random.default_rng(seed)
    covariance = np.outer(SDS, SDS) * np.array([[1.0, RHO], [RHO, 1.0]])
    true = rng.multivariate_normal(MEAN, covariance, SEGMENTS)
    segment = np.repeat(np.arange(SEGMENTS), SUBJECTS)
    treated = np.tile([0.0, 1.0], SEGMENTS * SUBJECTS // 2)
    y = rng.normal(true[segment, 0] + true[segment, 1] * treated, SIGMA)
    arms = y.reshape(SEGMENTS, SUBJECTS // 2, 2).mean(1)
    return Experiment({"y": y, "segment": segment, "treated": treated}, true, arms[:, 1] - arms[:, 0])


def heterogeneity(page: Page) -> dict[str, Any]:
    """A baseline for each segment and one effect for all: no interaction."""
    model = jl.Model(
        prior={
            "baseline": dist.Normal(0.0, 10.0).expand([SEGMENTS]).to_event(1),
            "effect": dist.Normal(0.0, 10.0),
            "sigma": dist.Exponential(1.0),
        },
        likelihood=lambda p, d: {"y": dist.Normal(p.baseline[d.segment] + p.effect * d.treated, p.sigma)},
        dims={"baseline": ("segment",)},
        name="no interaction",
    )
    data, true, raw = experiment(page.seed)
    fit = jl.fit(model, data, NUTS, page.seed)
    average = true[:, 1].mean()
    page.posterior(fit, {"effect": average, "sigma": SIGMA})
    low, high = np.quantile(fit.params["effect"], [0.03, 0.97])
    inside = np.sum((true[:, 1] > low) & (true[:, 1] < high))
    # Standard deviation of the difference of both arms over segments if all effects are equal.
    expected = fit.params["sigma"].mean() * np.sqrt(4 / SUBJECTS)
    page.say(
        f"The one effect, {fit.params['effect'].mean():.2f} ± {fit.params['effect'].std():.2f}, is the average over "
        f"segments (in truth {average:.2f}), and as that it serves. But its interval holds the true effect of only {inside} of "
        f"{SEGMENTS} segments. The data say so: differences between the arms vary over segments with sd {raw.std(ddof=1):.2f}, "
        f"where one effect for all allows {expected:.2f}."
    )

    figure, ax = plt.subplots(figsize=(7.0, 3.4), layout="constrained")
    order = np.argsort(true[:, 1])
    ax.axhspan(low, high, color=COLOURS[0], alpha=0.3, lw=0, label="the one effect, 94%")
    ax.errorbar(
        np.arange(SEGMENTS), raw[order], expected, fmt="o", color=GREY, markersize=3, label="arms' difference ± 1 se"
    )
    ax.plot(np.arange(SEGMENTS), true[order, 1], "_", markersize=8, markeredgewidth=2, label="truth", **TRUTH)
    ax.set(xlabel="segments, by true effect", ylabel="effect of the treatment", xticks=[])
    figure.legend(loc="outside upper center", ncols=3)
    page.figure(figure)
    return {"fit": fit, "truth": {"effect": average}}


def varying_effects(page: Page) -> dict[str, Any]:
    """A baseline and an effect for each segment, from a population in which both are correlated."""

    def model(centring: Any) -> jl.Model:
        return jl.Model(
            prior={
                "mean": dist.Normal(0.0, 10.0).expand([2]).to_event(1),
                "sds": dist.Exponential(1.0).expand([2]).to_event(1),
                "corr_chol": dist.LKJCholesky(2, concentration=2.0),
                "segment": lambda p: centring(
                    dist.MultivariateNormal(p.mean, scale_tril=p.sds[:, None] * p.corr_chol)
                    .expand([SEGMENTS])
                    .to_event(1)
                ),
                "sigma": dist.Exponential(1.0),
            },
            likelihood=lambda p, d: {
                "y": dist.Normal(p.segment[d.segment, 0] + p.segment[d.segment, 1] * d.treated, p.sigma)
            },
            derived=lambda p, d: {"correlation": p.corr_chol @ p.corr_chol.T, "rho": p.corr_chol[1, 0]},
            dims={"mean": ("part",), "sds": ("part",), "segment": ("segment", "part")},
            name="varying effects",
            key=("varying effects", centring),
        )

    data, true, raw = experiment(page.seed)
    fits = {
        word.__name__: jl.fit(model(word), data, NUTS, page.seed, coords={"part": PARTS})
        for word in (jl.centred, jl.noncentred)
    }
    fit = fits["noncentred"]
    truth: dict[str, Any] = {"mean": MEAN, "sds": SDS, "rho": RHO, "sigma": SIGMA}
    page.posterior(fit, truth)
    least = page.coordinates(fits, ["mean", "sds", "rho"])
    effects = fit.params["segment"][..., 1].reshape(-1, SEGMENTS)
    low, high = np.quantile(effects, [0.03, 0.97], axis=0)
    inside = np.sum((true[:, 1] > low) & (true[:, 1] < high))
    errors = {
        "raw": np.sqrt(np.mean((raw - true[:, 1]) ** 2)),
        "pooled": np.sqrt(np.mean((effects.mean(0) - true[:, 1]) ** 2)),
    }
    rho = fit.derived["rho"].ravel()
    page.say(
        f"The intervals now hold the true effect of {inside} of {SEGMENTS} segments, and the estimates miss it by "
        f"{errors['pooled']:.2f} on average, the plain differences of the arms by {errors['raw']:.2f}. Segments with high baselines "
        f"gain less: the correlation is {rho.mean():.2f} ± {rho.std():.2f}, in truth {RHO}, so each baseline tells something "
        "about the effect beside it. The coordinates are one word around the prior: sampled as themselves, effects that vary little "
        f"make the chains crawl ({least['centred']:.0f} effective draws), as deviations from the population they do not "
        f"({least['noncentred']:.0f})."
    )

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.4), layout="constrained", width_ratios=(2, 1))
    order, at = np.argsort(true[:, 1]), np.arange(SEGMENTS)
    left.vlines(at, low[order], high[order], color=COLOURS[0], label="effect, 94%")
    left.plot(at, raw[order], "o", color="black", markerfacecolor="white", markersize=4, label="arms' difference")
    left.plot(at, effects.mean(0)[order], "o", color=COLOURS[0], markersize=4, label="posterior mean")
    left.plot(at, true[order, 1], "_", markersize=8, markeredgewidth=2, label="truth", **TRUTH)
    left.set(xlabel="segments, by true effect", ylabel="effect of the treatment", xticks=[])
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    grid = np.linspace(-1, 1, 200)
    right.hist(rho, 40, density=True, color=COLOURS[5], label="posterior")
    right.plot(grid, stats.beta(2, 2, loc=-1, scale=2).pdf(grid), "--", color=GREY, label="prior, LKJ(2)")
    right.axvline(RHO, linewidth=2, label="truth", **TRUTH)
    right.set(xlabel="correlation of baseline and effect", ylabel="density", xlim=(-1, 1))
    right.legend(loc="upper right")
    page.figure(figure)
    return {"fits": fits, "truth": truth, "true": true, "errors": errors, "model": model}
