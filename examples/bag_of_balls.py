"""What share of the balls in a bag is red? The exact belief after 5, 10, 100, 1,000 and 10,000 draws, and NUTS's beside it.

    python examples/bag_of_balls.py [balls | runs | waits | counts | times | levels]

Six priors and likelihoods for which the belief is known exactly: red or not (Beta, Bernoulli), reds in 10 draws (Beta, binomial), draws
before a red (Beta, geometric), events an hour (gamma, Poisson), hours between events (gamma, exponential), levels (normal, normal).
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import jaxlatent as jl
from jaxlatent import plots

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/bag_of_balls.png")
SIZES = (5, 10, 100, 1000, 10_000)
beta = lambda a, b: stats.beta(a, b)
gamma = lambda a, b: stats.gamma(a, scale=1 / b)
#: By name: truth, prior, likelihood of one value, exact belief given the number and sum of values.
CHOICES = {
    "balls": (0.3, dist.Beta(1.0, 1.0), dist.Bernoulli, lambda n, s: beta(1 + s, 1 + n - s)),
    "runs": (0.3, dist.Beta(2.0, 2.0), lambda p: dist.Binomial(10, p), lambda n, s: beta(2 + s, 2 + 10 * n - s)),
    "waits": (0.3, dist.Beta(1.0, 1.0), dist.GeometricProbs, lambda n, s: beta(1 + n, 1 + s)),
    "counts": (3.0, dist.Gamma(2.0, 1.0), dist.Poisson, lambda n, s: gamma(2 + s, 1 + n)),
    "times": (0.5, dist.Gamma(2.0, 2.0), dist.Exponential, lambda n, s: gamma(2 + n, 2 + s)),
    "levels": (1.0, dist.Normal(0.0, 2.0), dist.Normal, lambda n, s: stats.norm(s / (n + 0.25), (n + 0.25) ** -0.5)),
}


@plots.style()
def show(truth, prior, y, beliefs, draws):
    """Prior and data, then the belief after ever more draws: exact, and as a histogram of NUTS's draws."""
    figure, axes = plt.subplots(1, 2 + len(SIZES), figsize=(14, 2.7), layout="constrained")
    grid = np.linspace(*beliefs[0].ppf([0.0005, 0.9995]), 400)
    axes[0].plot(grid, np.exp(prior.log_prob(grid)), "C0")
    axes[0].set(title="prior", ylim=(0, None), xlabel="parameter")
    axes[1].hist(y, 30, color="0.7", density=True)
    axes[1].set(title="likelihood at the truth", xlabel="one value")
    for ax, size, belief, drawn in zip(axes[2:], SIZES, beliefs, draws, strict=True):
        ax.hist(drawn, 30, density=True, color="C0", alpha=0.3, label="NUTS")
        near = np.linspace(*belief.ppf([0.0005, 0.9995]), 400)
        ax.plot(near, belief.pdf(near), "C0", label="exact")
        ax.axvline(truth, color="k", ls="--", lw=0.8, label="truth")
        ax.set(title=f"{size:,} draws", yticks=[], xlabel="parameter")
    axes[0].set_ylabel("density")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    plots.save(figure, FIGURE)


def main():
    """Believe exactly, sample the same, compare."""
    truth, prior, family, exact = CHOICES[sys.argv[1] if len(sys.argv) > 1 else "balls"]
    y = np.asarray(family(jnp.asarray(truth)).sample(jax.random.key(0), (SIZES[-1],)))
    beliefs = [exact(n, y[:n].sum()) for n in SIZES]

    model = jl.Model(prior={"p": prior}, likelihood=lambda p, d: {"y": family(p.p).expand(d.y.shape)})
    datasets = jl.batch({n: {"y": y[:n]} for n in SIZES})  # five datasets of unequal size are one program
    result = jl.fit(model, datasets, jl.NUTS(chains=2, warmup=300, draws=1000), seed=1)
    draws = [result[n].params["p"].ravel() for n in SIZES]

    print(f"{'draws':>8} {'truth':>8} {'estimate':>8} {'exact':>8} {'sd':>8} {'NUTS':>8} {'sd':>8}")
    for n, belief, drawn in zip(SIZES, beliefs, draws, strict=True):
        numbers = (truth, y[:n].mean(), belief.mean(), belief.std(), drawn.mean(), drawn.std())
        print(f"{n:8}" + "".join(f" {number:8.4f}" for number in numbers))
        assert abs(drawn.mean() - belief.mean()) < 0.2 * belief.std()
        assert abs(drawn.std() / belief.std() - 1) < 0.15
    assert abs(beliefs[-1].mean() - truth) < 4 * beliefs[-1].std()
    show(truth, prior, y, beliefs, draws)


if __name__ == "__main__":
    main()
