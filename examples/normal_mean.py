"""A normal mean and deviation, then a regression line: what is known of parameters, and of predictions.

    python examples/normal_mean.py

1,000 points of N(1, 2) under a N(0, 1) and a half-normal prior; 1,000 points about 0.5 x + 5 with deviation 2.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent import plots

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/normal_mean.png")
ENGINE = jl.NUTS(chains=4, warmup=300, draws=500)

normal = jl.Model(
    prior={"mean": dist.Normal(0.0, 1.0), "sd": dist.HalfNormal(1.0)},
    likelihood=lambda p, d: {"y": dist.Normal(p.mean, p.sd).expand(d.y.shape)},
    name="normal",
)
line = jl.Model(
    prior={"w": dist.Normal(0.0, 10.0), "c": dist.Normal(0.0, 10.0), "sigma": dist.HalfNormal(10.0)},
    likelihood=lambda p, d: {"y": dist.Normal(p.w * d.x + p.c, p.sigma)},
    name="regression",
)


def table(result, truth):
    """Posterior against truth."""
    print(f"{'':8} {'truth':>8} {'mean':>8} {'sd':>8}")
    for name, value in truth.items():
        draws = result.params[name]
        print(f"{name:8} {value:8.3f} {draws.mean():8.3f} {draws.std():8.3f}")
        assert abs(draws.mean() - value) < 4 * draws.std() and float(jl.diagnostics.rhat(draws)) < 1.01


@plots.style()
def show(y, first, x, z, second):
    """The predictive density with its uncertainty; the line, its uncertainty, and that of new points."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    grid = np.linspace(-6, 8, 200)
    mean, sd = (first.params[name].reshape(-1, 1) for name in ("mean", "sd"))
    densities = np.exp(-(((grid - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))
    left.hist(y, 50, density=True, color="0.85", label="data")
    left.fill_between(grid, *np.quantile(densities, [0.03, 0.97], axis=0), color="C0", alpha=0.5, label="94% of draws")
    left.plot(grid, densities.mean(0), "C0", lw=1, label="predictive density")
    left.set(xlabel="y", ylabel="density")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    order = np.argsort(x)
    lines = second.params["w"].reshape(-1, 1) * x[order] + second.params["c"].reshape(-1, 1)
    new = second.predict(seed=3)["y"].reshape(-1, len(x))[:, order]
    right.plot(x, z, ".", color="0.75", ms=3, label="data")
    right.fill_between(
        x[order], *np.quantile(new, [0.03, 0.97], axis=0), color="C5", alpha=0.3, label="new points, 94%"
    )
    right.fill_between(x[order], *np.quantile(lines, [0.03, 0.97], axis=0), color="C0", alpha=0.7, label="line, 94%")
    right.plot(x[order], 0.5 * x[order] + 5, "k--", lw=0.8, label="truth")
    right.set(xlabel="x", ylabel="y")
    right.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    plots.save(figure, FIGURE)


def main():
    """Sample both models and compare with truth and least squares."""
    rng = np.random.default_rng(0)
    y = rng.normal(1.0, 2.0, 1000)
    first = jl.fit(normal, {"y": y}, ENGINE, seed=1)
    table(first, {"mean": 1.0, "sd": 2.0})

    x = rng.uniform(-10, 10, 1000)
    z = rng.normal(0.5 * x + 5, 2.0)
    second = jl.fit(line, {"x": x, "y": z}, ENGINE, seed=2)
    table(second, {"w": 0.5, "c": 5.0, "sigma": 2.0})
    slope, intercept = np.polyfit(x, z, 1)
    print(f"least squares: w {slope:.3f}, c {intercept:.3f}")
    assert abs(second.params["w"].mean() - slope) < 0.005 and abs(second.params["c"].mean() - intercept) < 0.02
    show(y, first, x, z, second)


if __name__ == "__main__":
    main()
