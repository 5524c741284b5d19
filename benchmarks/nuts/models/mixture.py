"""A mixture of three normals in order, 1,000 numbers: 8 parameters."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints

import jaxlatent as jl
from benchmarks.nuts.case import Case

COUNT = 3
TRUTH = {"weights": [0.3, 0.45, 0.25], "means": [-3.0, 0.0, 2.5], "sds": [0.8, 1.0, 0.6]}


def simulated():
    rng = np.random.default_rng(2)
    label = rng.choice(COUNT, 1000, p=TRUTH["weights"])
    return {"y": rng.normal(np.array(TRUTH["means"])[label], np.array(TRUTH["sds"])[label]).astype(np.float32)}


DATA = simulated()


def observed(weights, means, sds):
    return dist.MixtureSameFamily(dist.Categorical(probs=weights), dist.Normal(means, sds))


def model():
    return jl.Model(
        {
            "weights": dist.Dirichlet(jnp.ones(COUNT)),
            "means": jl.ordered(dist.Normal(0.0, 5.0).expand([COUNT])),
            "sds": dist.HalfNormal(2.0).expand([COUNT]).to_event(1),
        },
        lambda p, d: {"y": observed(p.weights, p.means, p.sds)},
    )


def numpyro_model(y):
    weights = numpyro.sample("weights", dist.Dirichlet(jnp.ones(COUNT)))
    means = numpyro.sample("means", dist.ImproperUniform(constraints.ordered_vector, (), (COUNT,)))
    numpyro.factor("prior_of_means", jnp.sum(dist.Normal(0.0, 5.0).log_prob(means)))
    sds = numpyro.sample("sds", dist.HalfNormal(2.0).expand([COUNT]).to_event(1))
    numpyro.sample("y", observed(weights, means, sds), obs=y)


def pymc_model():
    import pymc as pm

    in_order = pm.distributions.transforms.ordered
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", np.ones(COUNT), initval=TRUTH["weights"])
        means = pm.Normal("means", 0.0, 5.0, shape=COUNT, transform=in_order, initval=TRUTH["means"])
        sds = pm.HalfNormal("sds", 2.0, shape=COUNT, initval=TRUTH["sds"])
        pm.NormalMixture("y", weights, means, sds, observed=DATA["y"])
    return model


STAN = """
data { vector[1000] y; }
parameters { simplex[3] weights; ordered[3] means; vector<lower=0>[3] sds; }
model {
  means ~ normal(0, 5);
  sds ~ normal(0, 2);
  vector[3] log_weights = log(weights);
  for (n in 1:1000) {
    vector[3] terms = log_weights;
    for (k in 1:3) terms[k] += normal_lpdf(y[n] | means[k], sds[k]);
    target += log_sum_exp(terms);
  }
}
"""

CASE = Case(DATA, ("weights", "means", "sds"), model, numpyro_model, start=TRUTH, pymc=pymc_model, stan=STAN)
