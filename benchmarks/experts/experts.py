"""Parts b and c: mean-field variational inference of a mixture of experts and of a Bayesian network, against NumPyro's SVI."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

import jaxlatent as jl
from benchmarks.measure import alternate, called, entries
from jaxlatent.datasets import inverse_problem

DATA = inverse_problem().data
X, Y = jnp.asarray(DATA["x"][:, 0], jnp.float32), jnp.asarray(DATA["y"], jnp.float32)
EXPERTS = jl.models.mixture_of_experts(3, 1)
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


def ours(model, engine, **settings):
    return jl.fit(model, DATA, engine, seed=0, segment=engine.max_iter, progress=False, **settings)


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
    """Lines of the Bayesian network: equal iterations of Adam, and the default engine from the mode, whose search counts."""
    adam = jl.ADVI(optimizer=optax.adam(1e-2), max_iter=steps, num_samples=1, tol=0.0)
    search = jl.Optimize(optimizer=optax.adam(5e-3), max_iter=10_000, tol=0.0, restarts=2)
    found = [
        called("jaxlatent", lambda: ours(NETWORK, adam)),
        called("jaxlatent, from the mode", lambda: ours(NETWORK, jl.ADVI(restarts=2), init=ours(NETWORK, search))),
        called("NumPyro SVI", lambda: svi(network, steps)),
    ]
    for one in found:
        one.facts["elbo"] = elbo(one.result.trace if isinstance(one.result, jl.Result) else one.result)
    sizes = {"rows": len(Y), "iterations": steps}
    return entries("c", "Bayesian network, mean-field", sizes, found, alternate(found, rounds), unit="fit")
