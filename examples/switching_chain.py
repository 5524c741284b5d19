"""A noisy two-state chain: what Gibbs, Metropolis-Hastings and Monte Carlo EM find, beside the exact answers.

    python examples/switching_chain.py

The state, 0 or 1, switches with probability q at each step; y ~ N(state, sigma^2). Single-site samplers of the path are written out
here; jaxlatent's recursions give the same probabilities without simulation, and draw whole paths at once.
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
from jaxlatent.latent import markov

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/switching_chain.png")
TRUTH = {"q": 0.1, "variance": 0.36}
STEPS, SWEEPS, BURN = 300, 4000, 100


def chain(p):
    """Initial probabilities, transition matrix and emissions."""
    matrix = jnp.eye(2) * (1 - 2 * p["q"]) + p["q"]
    return jnp.full(2, 0.5), matrix, dist.Normal(jnp.arange(2.0), jnp.sqrt(p["variance"]))


# Counts that the E-step expects, divided: both M-steps in closed form.
model = jl.Model(
    prior={"q": dist.Uniform(0.0, 1.0), "variance": dist.ImproperUniform(dist.constraints.positive, (), ())},
    likelihood=lambda p, d: {"y": jl.HiddenMarkov(*chain(p))},
    start=lambda key, d: {"q": 0.3, "variance": jnp.var(d.y)},
    m_step={
        "q": lambda p, d, e: (e["y"].transitions[0, 1] + e["y"].transitions[1, 0]) / (d.y.size - 1),
        "variance": lambda p, d, e: jnp.mean(jnp.sum(e["y"].weights * (d.y[:, None] - jnp.arange(2.0)) ** 2, -1)),
    },
    name="switching chain",
)


def log_odds(path, t, y, p):
    """Of state 1 against state 0 at step t, all other states given: what neighbours and y[t] say."""
    stay = jnp.log1p(-p["q"]) - jnp.log(p["q"])
    neighbours = jnp.where(t > 0, 2 * path[t - 1] - 1, 0) + jnp.where(t < STEPS - 1, 2 * path[t + 1] - 1, 0)
    return stay * neighbours + (y[t] - 0.5) / p["variance"]


def gibbs(key, y, p):
    """Sweeps that draw each state in turn given all others: paths ``(SWEEPS, STEPS)``."""

    def sweep(path, key):
        u = jax.random.uniform(key, (STEPS,))
        draw = lambda t, path: path.at[t].set((u[t] < jax.nn.sigmoid(log_odds(path, t, y, p))).astype(int))
        path = jax.lax.fori_loop(0, STEPS, draw, path)
        return path, path

    return jax.lax.scan(sweep, jnp.zeros(STEPS, int), jax.random.split(key, SWEEPS))[1]


def metropolis(key, y, p):
    """The same number of proposals to flip the state of a random step; paths, and the share that was accepted."""

    def flip(carry, noise):
        path, accepted = carry
        t, u = noise
        gain = (1 - 2 * path[t]) * log_odds(path, t, y, p)
        accept = jnp.log(u) < gain
        return (path.at[t].set(jnp.where(accept, 1 - path[t], path[t])), accepted + accept), None

    def sweep(path, key):
        sites, uniforms = jax.random.split(key)
        noise = jax.random.randint(sites, (STEPS,), 0, STEPS), jax.random.uniform(uniforms, (STEPS,))
        (path, accepted), _ = jax.lax.scan(flip, (path, 0), noise)
        return path, (path, accepted / STEPS)

    paths, accepted = jax.lax.scan(sweep, jnp.zeros(STEPS, int), jax.random.split(key, SWEEPS))[1]
    return paths, accepted.mean()


@plots.style()
def show(y, states, exact, sampled, fits):
    """Data with exact and simulated probabilities of state 1; the likelihood along three runs of EM."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(10, 6.5), layout="constrained", height_ratios=[1.3, 1])
    above.plot(y, ".", color="0.7", ms=4, label="y")
    above.fill_between(np.arange(STEPS), states, step="mid", color="0.9", lw=0, label="state 1")
    above.plot(exact, color="C4", lw=4, alpha=0.5, label="its probability, exact")
    for name, style in (("Gibbs", "C0--"), ("Metropolis-Hastings", "k:")):
        above.plot(sampled[name], style, lw=1.2, label=name)
    above.set(xlabel="step", xlim=(0, STEPS))
    above.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    top = fits["exact EM"].objective[0]
    for (name, fit), colour, line in zip(fits.items(), ("C4", "C1", "C0"), ("-", "-", "--"), strict=True):
        wide = {"lw": 4, "alpha": 0.5} if name == "exact EM" else {}
        below.semilogy(top - fit.trace[0][:40], line, color=colour, label=name, nonpositive="mask", **wide)
    below.set(xlabel="iteration", ylabel="nats below the maximum", ylim=(1e-4, None))
    below.legend(loc="upper right")
    plots.save(figure, FIGURE)


def main():
    """Simulate paths three ways and estimate parameters three ways, beside the exact answers."""
    initial, matrix, emissions = chain(TRUTH)
    y, states = jl.HiddenMarkov(initial, matrix, emissions, (STEPS,)).sample_with_states(jax.random.key(0))
    likelihoods = emissions.log_prob(y[:, None])
    exact = np.asarray(markov.smooth(initial, matrix, likelihoods).probs[:, 1])

    # Paths at the true parameters, three ways: the two single-site samplers crawl, the recursion draws them independently.
    key = jax.random.split(jax.random.key(1), 3)
    flipped, accepted = jax.jit(metropolis)(key[0], y, TRUTH)
    whole = jax.vmap(lambda k: markov.sample_states(k, initial, matrix, likelihoods))(jax.random.split(key[2], SWEEPS))
    paths = {"Gibbs": jax.jit(gibbs)(key[1], y, TRUTH), "Metropolis-Hastings": flipped, "forward-backward": whole}
    sampled = {name: np.asarray(path[BURN:].mean(0)) for name, path in paths.items()}
    print(f"{SWEEPS} sweeps; Metropolis-Hastings accepts {accepted:.3f} of its flips")
    print(
        f"{'largest error of P(state 1):':30}", {n: round(float(abs(v - exact).max()), 4) for n, v in sampled.items()}
    )
    ess = {n: jl.diagnostics.ess_mean(path[None, BURN:].mean(-1)) for n, path in paths.items()}
    print(f"{'effective draws, mean state:':30}", {name: round(float(value)) for name, value in ess.items()})

    engines = {
        "exact EM": jl.EM(restarts=1, tol=1e-7),
        "Monte Carlo EM, 1 path": jl.EM(restarts=1, max_iter=100, tol=0.0, e_step="draw", draws=1),
        "Monte Carlo EM, 1000 paths": jl.EM(restarts=1, max_iter=100, tol=0.0, e_step="draw", draws=1000),
    }
    fits = {name: jl.fit(model, {"y": y}, engine, seed=2) for name, engine in engines.items()}
    print(f"{'truth:':30} q {TRUTH['q']:.4f}, variance {TRUTH['variance']:.4f}")
    for name, fit in fits.items():
        print(f"{name + ':':30} q {fit.params['q'][0]:.4f}, variance {fit.params['variance'][0]:.4f}")

    em, monte_carlo = fits["exact EM"].params, fits["Monte Carlo EM, 1000 paths"].params
    assert max(abs(value - exact).max() for value in sampled.values()) < 0.1
    assert abs(sampled["forward-backward"] - exact).max() < 5 * 0.5 / np.sqrt(SWEEPS - BURN)
    assert abs(em["q"][0] - monte_carlo["q"][0]) < 0.01 and abs(em["variance"][0] - monte_carlo["variance"][0]) < 0.01
    assert abs(em["q"][0] - TRUTH["q"]) < 0.06 and abs(em["variance"][0] - TRUTH["variance"]) < 0.1
    show(y, states, exact, sampled, fits)


if __name__ == "__main__":
    main()
