"""A mixture of two unit normals by NUTS.

    python examples/normal_mixture.py

2,000 points, means 0 and 4, weights 0.7 and 0.3; Dirichlet(1, 1) weights and N(0, 1) means.
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.diagnostics import match_parameters, permute, relabel, rhat

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/normal_mixture.png")
TRUTH = {"weights": np.array([0.7, 0.3]), "means": np.array([0.0, 4.0])}
AXES = {"weights": (0,), "means": (0,)}


def likelihood(p, d):
    """Points from one normal or the other."""
    shape = (*d.y.shape, 2)
    labels = dist.Categorical(jnp.broadcast_to(p.weights, shape))
    return {"y": dist.MixtureSameFamily(labels, dist.Normal(jnp.broadcast_to(p.means, shape), 1.0))}


model = jl.Model(
    prior={"weights": dist.Dirichlet(jnp.ones(2)), "means": dist.Normal(0.0, 1.0).expand([2]).to_event(1)},
    likelihood=likelihood,
    name="two normals",
)


def normal(y, mean):
    """The density of a unit normal."""
    return np.exp(-((y - mean) ** 2) / 2) / np.sqrt(2 * np.pi)


@plots.style()
def show(y, draws):
    """Data with the density that draws imply; the draws themselves."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", width_ratios=[1.6, 1])
    grid = np.linspace(-4, 8, 200)
    weights, means = (draws[name].reshape(-1, 1, 2) for name in AXES)
    density = (weights * normal(grid[:, None], means)).sum(-1)
    left.hist(y, 60, density=True, color="0.85", label="data")
    left.fill_between(grid, *np.quantile(density, [0.03, 0.97], axis=0), color="C0", alpha=0.4, label="94% of draws")
    left.plot(grid, (TRUTH["weights"] * normal(grid[:, None], TRUTH["means"])).sum(-1), "k--", lw=0.8, label="truth")
    left.set(xlabel="y", ylabel="density")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    for k in range(2):
        right.plot(draws["weights"][..., k].ravel(), draws["means"][..., k].ravel(), ".", ms=2, label=f"component {k}")
        right.plot(TRUTH["weights"][k], TRUTH["means"][k], "k+", ms=14)
    right.set(xlabel="weight", ylabel="mean (cross: truth)")
    right.legend(loc="center", markerscale=4)
    plots.save(figure, FIGURE)


def main():
    """Sample, align, compare with the truth."""
    rng = np.random.default_rng(0)
    y = rng.normal(TRUTH["means"][rng.choice(2, 2000, p=TRUTH["weights"])])
    result = jl.fit(model, {"y": y}, jl.NUTS(chains=4, warmup=300, draws=500), seed=0)
    aligned = relabel(result.params, AXES).params
    order = match_parameters({name: aligned[name].mean((0, 1)) for name in AXES}, TRUTH, AXES)
    draws = permute(aligned, order[None, None], AXES)

    print(f"{'':12} {'truth':>8} {'mean':>8} {'sd':>8} {'R-hat':>8}")
    for name in AXES:
        for k in range(2):
            value = draws[name][..., k]
            row = (TRUTH[name][k], value.mean(), value.std(), float(rhat(value)))
            print(f"{name + f'[{k}]':12}" + "".join(f" {number:8.4f}" for number in row))
            assert row[3] < 1.01 and abs(row[1] - row[0]) < 4 * row[2]
    show(y, draws)


if __name__ == "__main__":
    main()
