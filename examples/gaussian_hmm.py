"""A Gaussian hidden Markov model: simulated, fitted by EM, aligned to the truth, then sampled with NUTS.

    python examples/gaussian_hmm.py

Three states of means -3, 0 and 4 and variance 0.7 that stay with probability 0.8; three sequences of 200 steps.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent import diagnostics, plots
from jaxlatent.models import Stationary, emissions, hmm

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/gaussian_hmm.png")
AXES = {"initial_probs": (0,), "transition_matrix": (0, 1), "means": (0,), "covs": (0,)}  # what a label indexes
TRUTH = {
    "initial_probs": jnp.full(3, 1 / 3),
    "transition_matrix": 0.7 * jnp.eye(3) + 0.1,
    "means": jnp.array([-3.0, 0.0, 4.0]),
    "covs": jnp.full(3, 0.7),
}


def simulate(seed):
    """Three sequences ``(3, 200)`` and the states behind them."""
    normals = dist.Normal(TRUTH["means"], jnp.sqrt(TRUTH["covs"]))
    chain = jl.HiddenMarkov(TRUTH["initial_probs"], TRUTH["transition_matrix"], normals, shape=(3, 200))
    return chain.sample_with_states(jax.random.key(seed))


@plots.style()
def show(y, states, path, em, draws):
    """Sequence 0 with its true and most likely states; what was recovered, with 94% intervals, against the truth."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 6), layout="constrained")
    for k, mean in enumerate(TRUTH["means"]):
        at = np.flatnonzero(states[0] == k)
        above.plot(at, y[0, at], ".", color=f"C{k}", label=f"state {k}, true")
        above.axhline(mean, color=f"C{k}", lw=0.5)
    above.plot(em["means"][path[0]], color="k", lw=0.7, drawstyle="steps-mid", label="mean on the most likely path")
    above.set(xlabel="step", ylabel="y of sequence 0", xlim=(-1, 200))
    above.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    flat = lambda p, lead=0: np.concatenate([np.reshape(p[k], (*np.shape(p[k])[:lead], -1)) for k in AXES], -1)
    low, high = np.quantile(flat(draws, 2) - flat(TRUTH), [0.03, 0.97], axis=(0, 1))
    at = np.arange(len(low))
    below.vlines(at, low, high, color="C0", lw=4, alpha=0.4, label="NUTS, 94%")
    below.plot(at, flat(em) - flat(TRUTH), "o", color="C0", ms=5, label="EM")
    below.axhline(0, color="k", lw=0.8)
    below.set(ylabel="estimate - truth")
    pairs = [f"A{i}{j}" for i in range(3) for j in range(3)]
    below.set_xticks(at, [*(f"pi{k}" for k in range(3)), *pairs, *(f"{w}{k}" for w in ("m", "v") for k in range(3))])
    below.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    plots.save(figure, FIGURE)


def main():
    """Simulate, fit by EM, align, sample from there."""
    y, states = map(np.asarray, simulate(seed=0))
    model = hmm(3, emissions.Gaussian(), Stationary(stickiness=10.0))

    em = jl.fit(model, {"y": y}, jl.EM(restarts=10), seed=1)  # lanes start from k-means clusters
    best = em.best()
    path = best.most_likely_states()["y"]
    order = diagnostics.match_states(path, states, 3)
    found, path = diagnostics.permute(best.params, order, AXES), np.argsort(order)[path]

    of_truth = float(model.log_likelihood(TRUTH, {"y": y})["y"].sum())
    print(f"log probability: {best.statistics['log_likelihood']:.2f} at the estimate, {of_truth:.2f} at the truth")
    print(f"iterations of 10 restarts: {em.statistics['n_steps'].astype(int)}")
    print(f"states on the most likely path that are right: {np.mean(path == states):.3f}")

    nuts = jl.fit(model, {"y": y}, jl.NUTS(chains=4, warmup=500, draws=500), seed=2, init=best)
    draws = diagnostics.relabel(nuts.params, AXES, ["means"]).params
    order = diagnostics.match_parameters({"means": draws["means"].mean((0, 1))}, TRUTH, {"means": (0,)})
    draws = diagnostics.permute(draws, order[None, None], AXES)
    rhat = max(float(np.max(diagnostics.rhat(draws[name]))) for name in AXES)
    for name in AXES:
        print(f"\n{name}: truth, EM, posterior mean, posterior sd")
        columns = (TRUTH[name], found[name], draws[name].mean((0, 1)), draws[name].std((0, 1)))
        for row in zip(*(np.ravel(column) for column in columns), strict=True):
            print("".join(f"{value:9.3f}" for value in row))
    print(f"\nlargest R-hat after alignment: {rhat:.4f}; seconds: {nuts.provenance.timings}")

    assert best.statistics["log_likelihood"] > of_truth
    assert np.abs(found["means"] - TRUTH["means"]).max() < 0.3
    assert np.abs(found["transition_matrix"] - TRUTH["transition_matrix"]).max() < 0.15
    assert rhat < 1.01
    show(y, states, path, found, draws)


if __name__ == "__main__":
    main()
