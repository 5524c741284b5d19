"""A mixture of two normals in the plane by EM: responsibilities and contours.

    python examples/gaussian_mixture.py

100 points; with probability 0.4 from N([1, 1], [[2, 1], [1, 2]]), else from N([3, 7], diag(1.5, 0.5)). EM starts from weight 0.6,
means (3, 3) and (1, 6) and identity covariances.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy.stats import multivariate_normal

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.models import gaussian_mixture

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/gaussian_mixture.png")
TRUTH = {
    "mixture_weights": jnp.array([0.4, 0.6]),
    "means": jnp.array([[1.0, 1.0], [3.0, 7.0]]),
    "covs": jnp.array([[[2.0, 1.0], [1.0, 2.0]], [[1.5, 0.0], [0.0, 0.5]]]),
}
START = {
    "mixture_weights": np.array([0.6, 0.4]),
    "means": np.array([[3.0, 3.0], [1.0, 6.0]]),
    "covs": np.stack([np.eye(2), np.eye(2)]),
}


def simulate(seed):
    """Points ``(100, 2)`` and the component of each."""
    key_label, key_value = jax.random.split(jax.random.key(seed))
    labels = jax.random.bernoulli(key_label, 0.6, (100,)).astype(int)
    normals = dist.MultivariateNormal(TRUTH["means"][labels], TRUTH["covs"][labels])
    return np.asarray(normals.sample(key_value)), np.asarray(labels)


def contours(ax, mean, cov, **style):
    """Where the density is 10%, 40% and 80% of its peak."""
    grid = np.stack(np.meshgrid(np.linspace(-4, 8, 200), np.linspace(-4, 11, 200)), -1)
    density = multivariate_normal(mean, cov).pdf(grid)
    ax.contour(grid[..., 0], grid[..., 1], density / density.max(), levels=[0.1, 0.4, 0.8], linewidths=0.9, **style)


@plots.style()
def show(y, belongs, found, trace):
    """The start, the fit, and how it came about."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", width_ratios=[1, 1, 0.8])
    axes[0].scatter(*y.T, s=14, color="0.6")
    points = axes[1].scatter(*y.T, s=14, c=belongs[:, 1], cmap="coolwarm", vmin=0, vmax=1)
    figure.colorbar(points, ax=axes[1], label="responsibility of the second component")
    for ax, params, title in zip(axes[:2], (START, found), ("start", "fit (dashed: truth)"), strict=True):
        for k, colour in enumerate(("#3B4CC0", "#B40426")):
            contours(ax, params["means"][k], params["covs"][k], colors=colour)
            if params is found:
                contours(ax, TRUTH["means"][k], TRUTH["covs"][k], colors="0.3", linestyles="dashed", alpha=0.4)
        ax.set(title=title, xlabel="$y_0$", ylabel="$y_1$", xlim=(-4, 8), ylim=(-4, 11))
    axes[2].plot(np.arange(len(trace)), trace, ".-")
    axes[2].set(title="EM never goes down", xlabel="iteration", ylabel="log likelihood + log prior, nats")
    plots.save(figure, FIGURE)


def main():
    """Simulate, fit from the given start, check the responsibilities."""
    y, labels = simulate(seed=0)
    model = gaussian_mixture(2, 2)
    result = jl.fit(model, {"y": y}, jl.EM(restarts=1), seed=0, init=START)
    found, trace = result.best().params, result.trace[0][np.isfinite(result.trace[0])]
    belongs = result.best().smooth()["y"]

    print(f"{'':16} {'truth':>8} {'EM':>8}")
    for name, truth in TRUTH.items():
        for index, value in np.ndenumerate(truth):
            print(f"{name + str(list(index)):16} {value:8.3f} {found[name][index]:8.3f}")
    log_likelihood = lambda params: float(model.log_likelihood(params, {"y": y})["y"].sum())
    print(f"log likelihood: {log_likelihood(found):.3f} at the estimate, {log_likelihood(TRUTH):.3f} at the truth")
    print(f"{len(trace)} iterations; labels that are right: {np.mean(belongs.argmax(-1) == labels):.2f}")

    # Bayes' rule in NumPy gives the same responsibilities.
    odds = [w * multivariate_normal(m, c).pdf(y) for w, m, c in zip(*(found[name] for name in TRUTH), strict=True)]
    np.testing.assert_allclose(belongs, np.transpose(odds / np.sum(odds, 0)), atol=1e-4)
    assert np.diff(trace).min() > -1e-3
    assert log_likelihood(found) > log_likelihood(TRUTH)
    show(y, belongs, found, trace)


if __name__ == "__main__":
    main()
