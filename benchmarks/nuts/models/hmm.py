"""A hidden Markov model of three states, three sequences of 200 numbers: 14 parameters, the states summed out."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from numpyro.distributions import constraints

import jaxlatent as jl
from benchmarks.hidden_markov import simulate
from benchmarks.nuts.case import Case

SEQUENCES, STEPS, STATES = 3, 200, 3
TRUTH = {
    "initial": np.full(STATES, 1 / STATES),
    "transitions": simulate.sticky(STATES, 0.9),
    "means": np.array([-2.0, 0.5, 3.0]),
    "sds": np.array([0.7, 1.0, 1.3]),
}


def simulated():
    """States overlap, but none is lost."""
    rng = np.random.default_rng(8)
    states = simulate.paths(rng, SEQUENCES, STEPS, TRUTH["transitions"])
    return {"y": (TRUTH["means"][states] + TRUTH["sds"][states] * rng.normal(size=states.shape)).astype(np.float32)}


DATA = simulated()


def model():
    """The chain is summed out by a distribution."""
    flat = jnp.ones(STATES)
    return jl.Model(
        {
            "initial": dist.Dirichlet(flat),
            "transitions": dist.Dirichlet(flat).expand([STATES]).to_event(1),
            "means": jl.ordered(dist.Normal(0.0, 5.0).expand([STATES])),
            "sds": dist.HalfNormal(3.0).expand([STATES]).to_event(1),
        },
        lambda p, d: {"y": jl.HiddenMarkov(p.initial, p.transitions, dist.Normal(p.means, p.sds))},
    )


def numpyro_model(y):
    """As NumPyro's users write it: a forward pass in log space by `lax.scan`."""
    flat = jnp.ones(STATES)
    initial = numpyro.sample("initial", dist.Dirichlet(flat))
    log_rows = jnp.log(numpyro.sample("transitions", dist.Dirichlet(flat).expand([STATES]).to_event(1)))
    means = numpyro.sample("means", dist.ImproperUniform(constraints.ordered_vector, (), (STATES,)))
    numpyro.factor("prior_of_means", jnp.sum(dist.Normal(0.0, 5.0).log_prob(means)))
    sds = numpyro.sample("sds", dist.HalfNormal(3.0).expand([STATES]).to_event(1))
    emitted = jnp.swapaxes(dist.Normal(means, sds).log_prob(y[..., None]), 0, 1)

    def forward(log_alpha, log_emitted):
        return logsumexp(log_alpha[:, :, None] + log_rows, axis=1) + log_emitted, None

    log_alpha, _ = jax.lax.scan(forward, jnp.log(initial) + emitted[0], emitted[1:])
    numpyro.factor("y", jnp.sum(logsumexp(log_alpha, axis=1)))


STAN = """
data { array[3] vector[200] y; }
parameters { simplex[3] initial; array[3] simplex[3] transitions; ordered[3] means; vector<lower=0>[3] sds; }
model {
  means ~ normal(0, 5);
  sds ~ normal(0, 3);
  matrix[3, 3] rows;
  for (k in 1:3) rows[k] = transitions[k]';
  for (i in 1:3) {
    matrix[3, 200] emitted;
    for (t in 1:200) for (k in 1:3) emitted[k, t] = normal_lpdf(y[i][t] | means[k], sds[k]);
    target += hmm_marginal(emitted, rows, initial);
  }
}
"""

CASE = Case(DATA, ("initial", "transitions", "means", "sds"), model, numpyro_model, start=TRUTH, stan=STAN)
