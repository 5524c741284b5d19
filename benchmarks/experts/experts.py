"""Parts b and c: mean-field variational inference of a mixture of experts and of a Bayesian network, against NumPyro and PyMC."""

from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

import jaxlatent as jl
from benchmarks.measure import Contender, alternate, called, entries
from jaxlatent.datasets import inverse_problem

DATA = inverse_problem().data
X, Y = jnp.asarray(DATA["x"][:, 0], jnp.float32), jnp.asarray(DATA["y"], jnp.float32)
EXPERTS = jl.models.mixture_of_experts(
    3,
    1,
    jl.models.emissions.HeteroscedasticRegression(1, prior_scale=5.0, floor=0.01),
    jl.models.Gate(1, prior_scale=5.0),
)
NETWORK = jl.models.mixture_density_network(3, 1, prior_scale=5.0)


def experts():
    """Three linear experts, as a NumPyro model."""
    draw = lambda name: numpyro.sample(name, dist.Normal(0.0, 5.0).expand([3]).to_event(1))
    line = lambda name: X[:, None] * draw(f"{name}_slope") + draw(f"{name}_bias")
    observe(line("gate"), line("mean"), line("scale"))


def network():
    """The mixture density network, as a NumPyro model."""
    draw = lambda name, *shape: numpyro.sample(name, dist.Normal(0.0, 5.0).expand(shape).to_event(len(shape)))
    hidden = jnp.tanh(X[:, None] * draw("hidden", 20) + draw("hidden_bias", 20))
    head = lambda name: hidden @ draw(name, 20, 3) + draw(f"{name}_bias", 3)
    observe(head("gate"), head("mean"), head("scale"))


def observe(logits, means, log_scales):
    normals = dist.Normal(means, jnp.exp(log_scales) + 0.01)
    numpyro.sample("y", dist.MixtureSameFamily(dist.Categorical(logits=logits), normals), obs=Y)


def svi(model, steps, seed=0):
    """ELBO by iteration, from NumPyro's usual calls; steps to nowhere are undone, without which the network's bound was NaN."""
    run = SVI(model, AutoNormal(model), numpyro.optim.Adam(1e-2), Trace_ELBO())
    return -run.run(jax.random.key(seed), steps, progress_bar=False, stable_update=True).losses


def pymc_advi(steps, seed=0):
    """PyMC's ADVI of the three experts, in its usual double precision: the call that goes on for ``steps`` more, and the bounds so far."""
    import pymc as pm

    with pm.Model() as model:
        line = lambda name: (
            DATA["x"] * pm.Normal(f"{name}_slope", 0, 5, shape=3) + pm.Normal(f"{name}_bias", 0, 5, shape=3)
        )
        gates, means, scales = (line(name) for name in ("gate", "mean", "scale"))
        pm.NormalMixture(
            "y", pm.math.softmax(gates, axis=-1), means, sigma=pm.math.exp(scales) + 0.01, observed=DATA["y"]
        )
    inference = pm.ADVI(model=model, random_seed=seed)
    inference.fit(1, obj_optimizer=pm.adam(learning_rate=1e-2), progressbar=False)

    def more():
        inference.refine(steps, progressbar=False)
        return -inference.hist

    return more


def ours(model, engine):
    return jl.fit(model, DATA, engine, seed=0, segment=engine.max_iter, progress=False)


def elbo(trace):
    """The mean of the last 1,000 iterations of the best lane."""
    return round(float(np.max(np.nanmean(np.atleast_2d(np.asarray(trace))[:, -1000:], 1))), 1)


def run(rounds, steps=50_000):
    """Lines of the mixture of experts: equal iterations, and the same bound by fixed draws."""
    stochastic = jl.ADVI(max_iter=steps, num_samples=1, tol=0.0)
    deterministic = jl.DADVI()
    found = [
        called("jaxlatent", lambda: ours(EXPERTS, stochastic)),
        called("jaxlatent, DADVI", lambda: ours(EXPERTS, deterministic)),
        called("NumPyro SVI", lambda: svi(experts, steps), target=3.0),
    ]
    try:
        start = perf_counter()
        more = pymc_advi(steps)
        found.append(Contender("PyMC ADVI", more, compile_s=perf_counter() - start, result=more(), target=3.0))
    except ModuleNotFoundError:
        print("PyMC is not installed; its line is left out")
    for one in found:
        one.facts["elbo"] = elbo(one.result.trace if isinstance(one.result, jl.Result) else one.result)
    found[1].facts |= {
        "elbo": round(float(found[1].result.objective[0]), 1),
        "elbo_linear_response": round(float(found[1].result.statistics["elbo"][0]), 1),
        "iterations": int(found[1].result.statistics["n_steps"][0]),
    }
    sizes = {"rows": len(Y), "iterations": steps, "parameters": 18}
    return entries("b", "mixture of experts, mean-field", sizes, found, alternate(found, rounds), unit="fit")


def bayesian(rounds, steps=50_000):
    """Lines of the Bayesian network: equal iterations of Adam, and four lanes of fixed draws."""
    adam = jl.ADVI(optimizer=optax.adam(1e-2), max_iter=steps, num_samples=1, tol=0.0)
    fixed = jl.DADVI(num_samples=116, max_iter=1000, linear_response=False, restarts=4)
    found = [
        called("jaxlatent", lambda: ours(NETWORK, adam)),
        called("jaxlatent, DADVI, 4 lanes", lambda: ours(NETWORK, fixed)),
        called("NumPyro SVI", lambda: svi(network, steps)),
    ]
    for one in found:
        one.facts["elbo"] = elbo(one.result.trace if isinstance(one.result, jl.Result) else one.result)
    found[1].facts["elbo"] = round(float(found[1].result.best().objective[0]), 1)
    sizes = {"rows": len(Y), "iterations": steps}
    return entries("c", "Bayesian network, mean-field", sizes, found, alternate(found, rounds), unit="fit")
