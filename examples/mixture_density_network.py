"""One-to-many regression by a mixture density network: trained by Adam and by L-BFGS, its predictions drawn and judged.

    python examples/mixture_density_network.py

Twenty tanh units, three normal components, on Bishop's inverse problem with wide noise and with the narrower one. Restarts are lanes of
one program, and the whole training loop is compiled.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import optax
from scipy.stats import ks_2samp

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.datasets import inverse_problem

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/mixture_density_network.png")
CURVES = FIGURE.with_name("mixture_density_network_curves.png")
model = jl.models.mixture_density_network(num_components=3, num_inputs=1, hidden=(20,))
short = jl.Optimize(optimizer=optax.adam(1e-3), max_iter=5_000, tol=0.0, restarts=4)
long = jl.Optimize(optimizer=optax.adam(5e-3), max_iter=40_000, tol=0.0, restarts=4)


def slices(data, drawn):
    """For slices of the inputs, p-values that draws and data come from one distribution."""
    x, found = data["x"][:, 0], []
    for at in (0.1, 0.4, 0.5, 0.6, 0.9):
        near = np.abs(x - at) < 0.05
        found.append(ks_2samp(data["y"][near], drawn[:, near].ravel()[: 2 * near.sum()]).pvalue)
    return np.array(found)


def main():
    """Train, judge on data that were not seen, and draw."""
    print(f"{'noise':8}{'5,000 epochs at 1e-3':>24}{'40,000 at 5e-3':>20}   mean NLL of the best of 4 restarts")
    for noise in ("wide", "narrow"):
        data = inverse_problem(noise=noise).data
        fits = [jl.fit(model, data, engine, seed=0) for engine in (short, long)]
        print(f"{noise:8}{-fits[0].best().score():24.3f}{-fits[1].best().score():20.3f}")
        if noise == "wide":
            wide, best = fits, fits[1].best()
            assert -fits[0].best().score() <= -1.02 and -best.score() <= -1.12

    data = inverse_problem().data
    x, y = data["x"][:, 0], data["y"]
    drawn, component = best.conditional().sample(seed=1, draws=20)
    pvalues = slices(data, drawn)
    print("do draws look like data, p-values in slices of x:", np.round(pvalues, 3))
    assert pvalues.min() > 0.01 / len(pvalues)
    unseen = best.conditional(inverse_problem(size=2000, seed=1).data)
    print(
        f"new data: mean NLL {-unseen.log_score().mean():.3f}, central 50% and 90% intervals hold {unseen.coverage([0.5, 0.9])}"
    )

    grid = np.linspace(x.min(), x.max(), 300)
    at_grid = best.conditional({"x": grid[:, None]})
    with plots.style():
        figure, axes = plt.subplots(2, 3, figsize=(12, 6.6), layout="constrained")
        plots.elbo(wide[0], axes[0, 0], label="log likelihood (nats)")
        axes[0, 0].set_title("training, four restarts")
        for ax in (axes[0, 1], axes[0, 2]):
            ax.plot(x, y, ".", color="0.7", markersize=2)
        plots.component_bands(at_grid, grid, axes[0, 1])
        axes[0, 1].set(title="components, mean and 2 deviations", ylim=(-0.1, 1.1))
        axes[0, 2].plot(grid, at_grid.mean(), color="k", label="mean")
        axes[0, 2].plot(grid, at_grid.modes()[:, 0], ".", color="C3", markersize=3, label="highest mode")
        axes[0, 2].legend(markerscale=2)
        axes[0, 2].set(title="the mean misses, a mode does not", xlabel="x", ylabel="y")
        plots.labelled_draws(x, drawn[0], component[0], axes[1, 0])
        axes[1, 0].set(title="draws that know their component", ylim=(-0.1, 1.1))
        plots.density_map(at_grid, grid, np.linspace(-0.1, 1.1, 300), axes[1, 1])
        axes[1, 1].set_title("predictive density")
        plots.pit(unseen.pit(), ax=axes[1, 2])
        axes[1, 2].set_title("calibration on new data")
    plots.save(figure, FIGURE)
    plots.save(plots.component_curves(at_grid, grid), CURVES)


if __name__ == "__main__":
    main()
