"""Gallery: means by category, with and without pooling."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.demos.regression.figures import TRUTH
from jaxlatent.demos.regression.page import Page
from jaxlatent.plots.style import COLOURS

NUTS = jl.NUTS(chains=4, warmup=500, draws=500)
SOILS = ["sand", "loam", "clay", "peat"]
CLINICS = 16


def categories(page: Page) -> dict[str, Any]:
    """The yield of wheat on four soils: the category of a plot picks its mean."""
    model = jl.Model(
        prior={
            "mean": dist.Normal(0.0, 10.0).expand([4]).to_event(1),
            "sigma": dist.Exponential(1.0),
        },
        likelihood=lambda p, d: {"tons": dist.Normal(p.mean[d.soil], p.sigma)},
        derived=lambda p, d: {"over_sand": p.mean[1:] - p.mean[0]},
        dims={"mean": ("soil",), "over_sand": ("other_soil",)},
        name="categories",
    )
    mean = np.array([4.0, 6.5, 6.0, 5.0])
    rng = np.random.default_rng(page.seed)
    soil = np.repeat(np.arange(4), [30, 30, 20, 5])
    tons = rng.normal(mean[soil], 1.0)

    coords = {"soil": SOILS, "other_soil": SOILS[1:]}
    fit = jl.fit(model, {"tons": tons, "soil": soil}, NUTS, page.seed, coords=coords)
    truth: dict[str, Any] = {"mean": mean, "over_sand": mean[1:] - mean[0], "sigma": 1.0}
    page.posterior(fit, truth)
    means = fit.params["mean"].reshape(-1, 4)
    page.say(
        f"There is no reference category: every soil has its mean, and any difference is a subtraction of draws. Peat has five "
        f"plots, so its mean is known to ± {means[:, 3].std():.2f} tons, loam's, with thirty, to ± {means[:, 1].std():.2f}. Loam "
        f"is better than clay with probability {np.mean(means[:, 1] > means[:, 2]):.2f}."
    )

    figure, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
    ax.plot(soil + rng.uniform(-0.08, 0.08, soil.size) - 0.15, tons, ".", color="black", alpha=0.4, label="plots")
    low, middle, high = np.quantile(means, [0.03, 0.5, 0.97], axis=0)
    error = np.stack([middle - low, high - middle])
    ax.errorbar(np.arange(4) + 0.15, middle, error, fmt="o", color=COLOURS[0], label="mean: median and 94%")
    ax.hlines(mean, np.arange(4) - 0.05, np.arange(4) + 0.35, linewidth=2, label="true mean", **TRUTH)
    ax.set_xticks(range(4), [f"{name}\n{np.sum(soil == i)} plots" for i, name in enumerate(SOILS)])
    ax.set_ylabel("yield, tons per hectare")
    ax.figure.legend(loc="outside upper center", ncols=3)
    page.figure(figure)
    return {"fit": fit, "truth": truth}


def pooling(page: Page) -> dict[str, Any]:
    """Days to recovery in 16 clinics, with few patients in most: each clinic learns from the others."""

    def model(centring: Any) -> jl.Model:
        return jl.Model(
            prior={
                "mu": dist.Normal(20.0, 10.0),
                "tau": dist.HalfNormal(5.0),
                "clinic": lambda p: centring(dist.Normal(p.mu, p.tau).expand([CLINICS]).to_event(1)),
                "sigma": dist.HalfNormal(10.0),
            },
            likelihood=lambda p, d: {"days": dist.Normal(p.clinic[d.clinic], p.sigma)},
            dims={"clinic": ("clinic",)},
            name="pooling",
            key=("pooling", centring),
        )

    rng = np.random.default_rng(page.seed)
    patients = np.tile([3, 4, 6, 20], 4)
    clinic = np.repeat(np.arange(CLINICS), patients)
    mean = rng.normal(20.0, 0.7, CLINICS)
    days = rng.normal(mean[clinic], 6.0)

    data, labels = {"days": days, "clinic": clinic}, [f"{chr(65 + i)}" for i in range(CLINICS)]
    fits = {
        word.__name__: jl.fit(model(word), data, NUTS, page.seed, coords={"clinic": labels})
        for word in (jl.centred, jl.noncentred)
    }
    fit = fits["noncentred"]
    truth: dict[str, Any] = {"mu": 20.0, "tau": 0.7, "sigma": 6.0, "clinic": mean}
    page.posterior(fit, {name: truth[name] for name in ("mu", "tau", "sigma")})
    page.coordinates(fits, ["mu", "tau"])

    raw = np.bincount(clinic, days) / patients
    pooled = fit.params["clinic"].mean((0, 1))
    errors = {name: np.sqrt(np.mean((estimate - mean) ** 2)) for name, estimate in (("raw", raw), ("pooled", pooled))}
    moved, few, most = np.abs(pooled - raw), patients == patients.min(), patients == patients.max()
    page.say(
        f"A clinic's own mean misses the truth by {errors['raw']:.1f} days on average, the pooled estimate by "
        f"{errors['pooled']:.1f}: shrinkage buys accuracy. It takes most from those who know least: clinics with "
        f"{patients.min()} patients are moved by {moved[few].mean():.1f} days, those with {patients.max()} by {moved[most].mean():.1f}. "
        "Clinics that hardly differ are hard to sample as themselves (centred): where tau is small, all must move together. "
        "As deviations from the mean (noncentred) they are free; the model is the same."
    )

    figure, axes = plt.subplots(2, 1, figsize=(6.5, 5.0), layout="constrained", sharex=True, height_ratios=(3, 2))
    plots.shrinkage(raw, fit.params["clinic"], [f"{a} {n}" for a, n in zip(labels, patients, strict=True)],
                    float(fit.params["mu"].mean()), "days to recovery", tuple(axes))  # fmt: skip
    axes[0].hlines(mean, np.arange(CLINICS) - 0.35, np.arange(CLINICS) + 0.35, linewidth=2, label="truth", **TRUTH)
    axes[0].get_legend().remove()
    axes[1].set_xlabel("clinic and its number of patients")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    page.figure(figure)
    return {"fits": fits, "truth": truth, "errors": errors, "model": model}
