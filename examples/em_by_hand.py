"""EM for a model of one's own: visitors who fish, and visitors who do not.

    python examples/em_by_hand.py

A zero-inflated regression: with probability `idle` a visitor catches nothing, otherwise a Poisson number of rate exp(a + b hours).
No closed form fits it, and none is needed: whatever mixture the likelihood holds, EM takes it apart and climbs.
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent import plots

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/em_by_hand.png")
TRUTH = {"idle": 0.3, "a": -0.2, "b": 0.6}
COUNTS = dist.constraints.nonnegative_integer


def likelihood(p, d):
    """Nothing, or a Poisson count: two families in one mixture."""
    rates = jnp.exp(p.a + p.b * d.hours)
    shares = jnp.broadcast_to(jnp.stack([p.idle, 1 - p.idle]), (*rates.shape, 2))
    nothing = dist.Delta(jnp.zeros_like(rates))
    return {"catch": dist.MixtureGeneral(dist.Categorical(shares), [nothing, dist.Poisson(rates)], support=COUNTS)}


model = jl.Model(
    prior={"idle": dist.Uniform(0.0, 1.0), "a": dist.Normal(0.0, 10.0), "b": dist.Normal(0.0, 10.0)},
    likelihood=likelihood,
    name="zero-inflated counts",
)


def simulate(seed, visitors=500):
    """Catches, hours, and who did not fish."""
    rng = np.random.default_rng(seed)
    hours, idle = rng.uniform(0, 4, visitors), rng.random(visitors) < TRUTH["idle"]
    return {"hours": hours, "catch": np.where(idle, 0, rng.poisson(np.exp(TRUTH["a"] + TRUTH["b"] * hours)))}, idle


@plots.style()
def show(data, belongs, found, trace):
    """Catches coloured by responsibility with the rate of those who fish; the climb."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=[1.5, 1])
    jitter = np.random.default_rng(1).uniform(-0.2, 0.2, len(belongs))
    points = left.scatter(data["hours"], data["catch"] + jitter, s=10, c=belongs, cmap="viridis_r", vmin=0, vmax=1)
    figure.colorbar(points, ax=left, label="probability of not fishing")
    hours = np.linspace(0, 4, 100)
    left.plot(hours, np.exp(found["a"] + found["b"] * hours), "C1", label="rate of those who fish, EM")
    left.plot(hours, np.exp(TRUTH["a"] + TRUTH["b"] * hours), "k--", lw=0.8, label="truth")
    left.set(xlabel="hours", ylabel="catch")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    for restart, one in enumerate(trace):
        right.semilogy(np.nanmax(trace) - one, "osD^vP"[restart] + "-", ms=3, mfc="white", label=restart)
    right.set(xlabel="iteration", ylabel="log joint still to gain, nats", ylim=(1e-3, None))
    right.legend(title="restart")
    plots.save(figure, FIGURE)


def main():
    """Climb by EM, climb directly, compare."""
    data, idle = simulate(seed=0)
    em = jl.fit(model, data, jl.EM(restarts=6, tol=1e-8), seed=1)
    best = em.best()
    direct = jl.fit(model, data, jl.Optimize(), seed=1).best()  # the same height, by gradients of the sum over labels
    belongs = best.smooth()["catch"][:, 0]

    print(f"{'':6} {'truth':>8} {'EM':>8} {'direct':>8}")
    for name in TRUTH:
        print(f"{name:6} {TRUTH[name]:8.4f} {best.params[name]:8.4f} {direct.params[name]:8.4f}")
    gain = np.nanmin(np.diff(em.trace, axis=1))
    print(f"iterations {em.statistics['n_steps'].astype(int)}, smallest gain {gain:.2g} nats")
    nothing = data["catch"] == 0
    print(f"of those without a catch {idle[nothing].mean():.3f} did not fish; expected {belongs[nothing].mean():.3f}")

    assert gain > -1e-2
    assert all(abs(best.params[name] - direct.params[name]) < 0.01 for name in TRUTH)
    assert all(abs(best.params[name] - TRUTH[name]) < 0.2 for name in TRUTH)
    show(data, belongs, best.params, em.trace)


if __name__ == "__main__":
    main()
