"""A GLM-HMM (a regression whose line switches with a hidden state): by EM, then fully Bayesian by NUTS.

    python examples/glm_hmm.py

Ten sequences of 100 steps, x uniform on (0, 10). NUTS runs on the likelihood with all paths summed out, which takes seconds.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.diagnostics import match_parameters, match_states, permute, relabel, rhat
from jaxlatent.models import emissions, hmm

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/glm_hmm.png")
AXES = {"initial_probs": (0,), "transition_matrix": (0, 1), "weights": (0,), "biases": (0,), "sigma": (0,)}
LINES = dict.fromkeys(("weights", "biases", "sigma"), (0,))
TRUTH = {
    "initial_probs": jnp.full(3, 1 / 3),
    "transition_matrix": jnp.array([[0.5, 0.4, 0.1], [0.1, 0.5, 0.4], [0.4, 0.1, 0.5]]),
    "weights": jnp.array([1.0, -0.8, 0.2]),
    "biases": jnp.array([2.0, 0.0, -1.0]),
    "sigma": jnp.sqrt(jnp.array([1.0, 0.8, 1.5])),
}


def switching(p, d):
    """Sequences whose line depends on a hidden state; all states side by side on the last axis."""
    lines = dist.Normal(p["weights"] * d["x"][..., None] + p["biases"], p["sigma"])
    return {"y": jl.HiddenMarkov(p["initial_probs"], p["transition_matrix"], lines)}


bayesian = jl.Model(
    prior={
        "initial_probs": dist.Dirichlet(jnp.ones(3)),
        "transition_matrix": dist.Dirichlet(jnp.ones((3, 3))).to_event(1),
        "weights": dist.Normal(0.0, 1.0).expand([3]).to_event(1),
        "biases": dist.Normal(0.0, 1.0).expand([3]).to_event(1),
        "sigma": dist.HalfNormal(1.0).expand([3]).to_event(1),
    },
    likelihood=switching,
    name="Bayesian GLM-HMM",
)


@plots.style()
def show(x, y, states, found, draws):
    """The lines through the points of each state, and parameters against the truth."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", width_ratios=[1, 1.4])
    ends = np.array([0.0, 10.0])
    for k in range(3):
        left.plot(x[states == k], y[states == k], ".", ms=3, alpha=0.4, color=f"C{k}")
        left.plot(ends, found["weights"][k] * ends + found["biases"][k], color=f"C{k}", label=f"state {k}")
        left.plot(
            ends,
            TRUTH["weights"][k] * ends + TRUTH["biases"][k],
            "--",
            color="k",
            lw=0.8,
            label="truth" if k == 2 else None,
        )
    left.set(xlabel="x", ylabel="y")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, columnspacing=1)
    names, place = ["weights", "biases", "sigma", "transition_matrix"], 0
    ticks = {}
    for name in names:
        size = np.size(TRUTH[name])
        at = place + np.arange(size)
        low, high = np.quantile(draws[name].reshape(-1, size), [0.03, 0.97], axis=0)
        right.vlines(at, low, high, color="C0", lw=5, alpha=0.4, label="NUTS, 94%" if place == 0 else None)
        right.plot(at, np.ravel(found[name]), "C0o", ms=5, label="EM" if place == 0 else None)
        right.plot(at, np.ravel(TRUTH[name]), "k_", ms=12, label="truth" if place == 0 else None)
        ticks[at.mean()] = name.replace("_", "\n")
        place += size + 1
    right.set_xticks(list(ticks), ticks.values())
    right.set_ylabel("value")
    right.tick_params(axis="x", length=0)
    right.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    plots.save(figure, FIGURE)


def main():
    """Fit by EM with the ready family, then sample the model with priors."""
    x = np.random.default_rng(0).uniform(0, 10, (10, 100)).astype(np.float32)
    y, states = map(np.asarray, switching(TRUTH, {"x": x})["y"].sample_with_states(jax.random.key(0)))

    # The ready family: closed M-steps, flat priors on lines and variances; its inputs are (..., T, num_inputs).
    em = jl.fit(hmm(3, emissions.LinearRegression(1)), {"y": y, "x": x[..., None]}, jl.EM(restarts=20), seed=1).best()
    path = em.most_likely_states()["y"]
    order = match_states(path, states, 3)
    found = {**em.params, "weights": em.params["weights"][:, 0], "sigma": np.sqrt(em.params["covs"])}
    found, right = permute(found, order, AXES), np.mean(np.argsort(order)[path] == states)

    # The same with priors, by hand: EM (its M-steps by Newton) finds the mode from which NUTS starts.
    data = {"y": y, "x": x}
    mode = jl.fit(bayesian, data, jl.EM(restarts=20), seed=2).best()
    nuts = jl.fit(bayesian, data, jl.NUTS(chains=4, warmup=400, draws=1000), seed=3, init=mode)
    aligned = relabel(nuts.params, AXES, LINES).params
    order = match_parameters({name: aligned[name].mean((0, 1)) for name in LINES}, TRUTH, LINES)
    draws = permute(aligned, order[None, None], AXES)
    worst = max(float(np.max(rhat(draws[name]))) for name in AXES)

    for name in AXES:
        print(f"{name}: truth, EM, posterior mean, posterior sd")
        columns = (TRUTH[name], found[name], draws[name].mean((0, 1)), draws[name].std((0, 1)))
        for row in zip(*(np.ravel(column) for column in columns), strict=True):
            print("".join(f"{value:9.3f}" for value in row))
    of_truth = float(bayesian.log_likelihood(TRUTH, data)["y"].sum())
    print(f"\nlog likelihood: {em.statistics['log_likelihood']:.2f} by EM, {of_truth:.2f} at the truth")
    print(f"states on the Viterbi path that are right: {right:.3f}")
    seconds = {name: round(value, 1) for name, value in nuts.provenance.timings.items()}
    print(f"NUTS: largest R-hat after alignment {worst:.4f}, seconds {seconds}")

    assert em.statistics["log_likelihood"] > of_truth
    assert max(np.abs(found[name] - TRUTH[name]).max() for name in LINES) < 0.4
    assert worst < 1.01
    show(x, y, states, found, draws)


if __name__ == "__main__":
    main()
