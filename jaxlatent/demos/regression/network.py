"""Gallery: a curve of unknown form, by a small Bayesian network."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import jaxlatent as jl
from jaxlatent.demos.regression.figures import TRUTH
from jaxlatent.demos.regression.page import Page
from jaxlatent.plots.style import COLOURS

NUTS = jl.NUTS(chains=4, warmup=300, draws=400, max_depth=7)
TRAINED = jl.Optimize(restarts=8, standard_errors=False)
POINTS = 30  # on each side
GAP = (-0.8, 1.2)
SIGMA = 0.3
PLACES = np.linspace(-3.0, 3.0, 61)  # where the curve is asked for

layers = jl.models.Network(nn.Sequential((nn.Dense(8), jnp.tanh, nn.Dense(1))), num_inputs=1, prior_scale=1.0)

#: Any Flax module is the mean of a regression.
model = jl.Model(
    prior={**layers.prior(), "sigma": dist.HalfNormal(0.5)},
    likelihood=lambda p, d: {"y": dist.Normal(layers.apply(p, d.x)[:, 0], p.sigma)},
    derived=lambda p, d: {"curve": layers.apply(p, d.places)[:, 0]},
    dims={"curve": ("place",), "y": ("point",)},
    name="Bayesian network",
)


def curve(x: np.ndarray) -> np.ndarray:
    """The true curve."""
    return np.sin(1.5 * x) + 0.3 * x


def network(page: Page) -> dict[str, Any]:
    """A curve seen on both sides of a gap: the posterior of a network beside the same network trained."""
    rng = np.random.default_rng(page.seed)
    x = np.concatenate([rng.uniform(-3.0, GAP[0], POINTS), rng.uniform(GAP[1], 3.0, POINTS)])
    data = {"x": x[:, None], "y": rng.normal(curve(x), SIGMA), "places": PLACES[:, None]}
    fit = jl.fit(model, data, NUTS, page.seed, coords={"place": np.round(PLACES, 1).tolist()})
    best = jl.fit(model, data, TRAINED, page.seed).best()
    trained, noise = best.derived["curve"], float(best.params["sigma"])

    page.posterior(fit, {"sigma": SIGMA})
    true, summary = curve(PLACES), fit.summary(["curve"])
    left, right = GAP
    in_gap = (left < PLACES) & (right > PLACES)
    page.table(
        f"the curve, of which no point was seen between x = {left} and {right}",
        ["x", "truth", "trained", "mean", "sd", "ESS", "R-hat"],
        (
            [
                f"{PLACES[i]:.1f}{', in the gap' if in_gap[i] else ''}",
                *(f"{number:.2f}" for number in (true[i], trained[i], row["mean"], row["sd"])),
                f"{row.ess_bulk:.0f}",
                f"{row.r_hat:.3f}",
            ]
            for i, (_, row) in list(enumerate(summary.iterrows()))[::5]
        ),
    )
    curves = fit.derived["curve"].reshape(-1, len(PLACES))
    points = rng.normal(curves, fit.params["sigma"].reshape(-1, 1))
    bands = {
        "posterior": np.quantile(points, [0.03, 0.97], axis=0),
        "trained": trained + stats.norm.ppf([[0.03], [0.97]]) * noise,
    }
    held = {name: np.diff(stats.norm.cdf(band, true, SIGMA), axis=0)[0] for name, band in bands.items()}
    share = {name: (100 * chance[~in_gap].mean(), 100 * chance[in_gap].mean()) for name, chance in held.items()}
    sd = curves.std(0)
    page.say(
        f"The weights, {sum(np.size(best.params[name]) for name in layers.prior())} in number, mean nothing by themselves: "
        "hidden units can change places, and the curve stays. So it is the curve that is compared with the truth, and whose "
        f"R-hat counts (at most {summary.r_hat.max():.3f}). Where points were seen it is known to ± "
        f"{sd[~in_gap].mean():.2f}, in the gap to ± {sd[in_gap].mean():.2f} only. The network with the most probable "
        "weights, which is what training finds, is one curve: in the gap it is off by up to "
        f"{np.abs(trained - true)[in_gap].max():.2f}, and nothing in it says so."
    )
    page.say(
        f"Of new points, the 94% band of the posterior holds {share['posterior'][0]:.0f}% where points were seen and "
        f"{share['posterior'][1]:.0f}% in the gap. A band of the trained network, its curve ± 1.88 times its sigma, holds "
        f"{share['trained'][0]:.0f}% and {share['trained'][1]:.0f}%."
    )

    figure, ax = plt.subplots(figsize=(7.4, 4.0), layout="constrained")
    band = {"color": COLOURS[5], "alpha": 0.35, "lw": 0, "label": "new points, 94%"}
    ax.fill_between(PLACES, *bands["posterior"], **band)
    band = {"color": COLOURS[0], "alpha": 0.5, "lw": 0, "label": "curve, 94%"}
    ax.fill_between(PLACES, *np.quantile(curves, [0.03, 0.97], axis=0), **band)
    ax.plot(PLACES, curves.mean(0), color=COLOURS[0], label="curve, posterior mean")
    ax.plot(x, data["y"], ".", color="black", markersize=4, label="seen")
    ax.plot(PLACES, trained, color=COLOURS[3], lw=1.6, label="trained network")
    ax.plot(PLACES, true, "--", label="truth", **TRUTH)
    ax.set(xlabel="x", ylabel="y", xlim=(-3, 3))
    figure.legend(loc="outside upper center", ncols=3)
    page.figure(figure)
    return {
        "fit": fit,
        "truth": {"sigma": SIGMA, "curve": true},
        "data": data,
        "trained": trained,
        "in_gap": in_gap,
        "held": held,
    }
