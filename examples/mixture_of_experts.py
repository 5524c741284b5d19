"""One-to-many regression by a mixture of three linear experts: lines, EM, variational inference, draws that know their component.

    python examples/mixture_of_experts.py

Bishop's inverse problem: for inputs around 0.5 there are three answers, and their mean is none of them. Draws that first pick an expert
show all three.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import ks_2samp

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.datasets import inverse_problem
from jaxlatent.models import Gate, emissions, mixture_of_experts, regression_mixture

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/mixture_of_experts.png")
DATA = inverse_problem().data
X, Y = DATA["x"][:, 0], DATA["y"]
# The priors of the published analysis, N(0, 5) whatever the units of the data, and its least scale.
EXPERT, GATE = emissions.HeteroscedasticRegression(1, prior_scale=5.0, floor=0.01), Gate(1, prior_scale=5.0)
model = mixture_of_experts(3, 1, EXPERT, GATE)


def iterative_regression():
    """Each point to the nearest of three lines, each line through its points: hard EM with all else held. Lines, labels, rounds."""
    lines = jl.fix(regression_mixture(3, 1), mixture_weights=np.full(3, 1 / 3), covs=np.full(3, 0.01))
    labels = np.where(X < 0.3, 0, np.where(X > 0.7, 2, np.random.default_rng(0).integers(0, 3, X.size)))
    start = np.array([np.polyfit(X[labels == k], Y[labels == k], 1) for k in range(3)])
    init = {"weights": start[:, :1], "biases": start[:, 1]}
    fit = jl.fit(lines, DATA, jl.EM(restarts=1, e_step="hard", tol=1e-3), seed=0, init=init).best()
    return fit, fit.most_likely_states()["y"], int(fit.statistics["n_steps"])


def slices(drawn):
    """For slices of the inputs, p-values that draws and data come from one distribution."""
    at = (0.1, 0.4, 0.5, 0.6, 0.9)
    return [ks_2samp(Y[np.abs(X - x) < 0.05], drawn[:, np.abs(X - x) < 0.05].ravel()[:200]).pvalue for x in at]


def main():
    """Fit in four ways, tell how good each is, and draw."""
    lines, labels, rounds = iterative_regression()
    em = jl.fit(model, DATA, jl.EM(restarts=10), seed=0)
    advi = jl.fit(model, DATA, jl.ADVI(restarts=4, max_iter=5000), seed=0)
    linear = jl.fit(model, DATA, jl.DADVI(restarts=4), seed=0)
    print(f"lines by hard assignment: {rounds} rounds, slopes {np.round(np.sort(lines.params['weights'].ravel()), 2)}")
    print(
        f"EM: log likelihood {em.best().statistics['log_likelihood']:.1f}, best reached by {em.agreeing()} of 10 restarts"
    )
    print(
        f"mean-field ADVI: ELBO {advi.best().trace[0, -1000:].mean():.1f}, best reached by {advi.agreeing()} of 4 lanes"
    )
    print(
        f"DADVI with linear response: ELBO {linear.best().statistics['elbo'][0]:.1f}, k-hat {linear.best().statistics['khat'][0]:.2f}"
    )
    narrow = jl.fit(model, inverse_problem(noise="narrow").data, jl.DADVI(restarts=4), seed=0).best()
    print(
        f"its mean-field bound: {linear.best().objective[0]:.0f}; with narrow noise {narrow.objective[0]:.0f} (published: about 1602)"
    )
    print(linear.best().summary(["weights", "biases"])[["mean", "sd"]])

    grid = np.linspace(X.min(), X.max(), 200)
    at_data, at_grid = linear.best().conditional(), linear.best().conditional({"x": grid[:, None]})
    drawn, component = at_data.sample(seed=1, draws=20)
    six = jl.fit(mixture_of_experts(6, 1, EXPERT, GATE), DATA, jl.EM(restarts=10), seed=0).best()
    middle = np.abs(X - 0.5) < 0.05
    near_mean = np.mean(np.abs(Y[middle] - at_data.mean()[middle]) < 0.05)
    # Branches bend: three lines cannot follow them everywhere, and the test sees it.
    for number, values in ((3, drawn), (6, six.conditional().sample(seed=1, draws=20)[0])):
        print(f"{number} experts: do draws look like data, p-values in slices of x: {np.round(slices(values), 3)}")
    print(f"of the data around x = 0.5, {near_mean:.0%} lie within 0.05 of the predicted mean")

    assert np.nanmin(np.diff(em.trace, axis=1)) > -1e-2, "EM never falls"
    assert advi.best().trace[0, -1000:].mean() > 825 and linear.best().statistics["khat"][0] < 0.7

    # Lines have the colours of the experts of their branches: both are ordered by their mean.
    means = lambda values, labels: [values[labels == k].mean() for k in range(3)]
    alike = np.argsort(means(drawn[0], component[0]))[np.argsort(np.argsort(means(Y, labels)))]
    with plots.style():
        figure, axes = plt.subplots(2, 3, figsize=(12, 6.6), layout="constrained")
        plots.labelled_draws(X, Y, alike[labels], axes[0, 0])
        for k in range(3):
            axes[0, 0].plot(grid, lines.params["weights"][k, 0] * grid + lines.params["biases"][k], color="k", lw=0.8)
        axes[0, 0].set(title=f"three lines, hard assignment ({rounds} rounds)", ylim=(-0.1, 1.1))
        plots.elbo(advi, axes[0, 1])
        axes[0, 1].set_title("mean-field ADVI")
        axes[0, 2].plot(X, Y, ".", color="0.7", markersize=2)
        plots.component_bands(at_grid, grid, axes[0, 2])
        axes[0, 2].set(title="experts, mean and 2 deviations", ylim=(-0.1, 1.1))
        axes[1, 0].plot(X, Y, ".", color="0.7", markersize=2)
        axes[1, 0].plot(grid, at_grid.mean(), color="k")
        axes[1, 0].set(title="the mean misses the middle", xlabel="x", ylabel="y")
        plots.labelled_draws(X, drawn[0], component[0], axes[1, 1])
        axes[1, 1].set(title="draws that know their component", ylim=(-0.1, 1.1))
        plots.density_map(at_grid, grid, np.linspace(-0.1, 1.1, 200), axes[1, 2])
        axes[1, 2].set_title("predictive density")
    plots.save(figure, FIGURE)


if __name__ == "__main__":
    main()
