"""Stochastic volatility, a random walk of 1,000 steps under Student's t: 1,002 parameters."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import jaxlatent as jl
from benchmarks.nuts.case import Case

STEPS = 1000


def simulated():
    rng = np.random.default_rng(4)
    log_scale = -1.0 + np.cumsum(rng.normal(0.0, 0.05, STEPS))
    return {"returns": (np.exp(log_scale) * rng.standard_t(8.0, STEPS)).astype(np.float32)}


DATA = simulated()


def model():
    return jl.Model(
        {
            "sigma": dist.Exponential(20.0),
            "nu": dist.Exponential(0.1),
            "walk": lambda p: dist.GaussianRandomWalk(p.sigma, num_steps=STEPS),
        },
        lambda p, d: {"returns": dist.StudentT(p.nu, 0.0, jnp.exp(p.walk))},
    )


def numpyro_model(returns):
    sigma = numpyro.sample("sigma", dist.Exponential(20.0))
    nu = numpyro.sample("nu", dist.Exponential(0.1))
    walk = numpyro.sample("walk", dist.GaussianRandomWalk(sigma, num_steps=STEPS))
    numpyro.sample("returns", dist.StudentT(nu, 0.0, jnp.exp(walk)), obs=returns)


def pymc_model():
    import pymc as pm

    with pm.Model() as model:
        sigma, nu = pm.Exponential("sigma", 20.0), pm.Exponential("nu", 0.1)
        walk = pm.GaussianRandomWalk("walk", sigma=sigma, init_dist=pm.Normal.dist(0.0, sigma), steps=STEPS - 1)
        pm.StudentT("returns", nu=nu, mu=0.0, sigma=pm.math.exp(walk), observed=DATA["returns"])
    return model


STAN = """
data { vector[1000] returns; }
parameters { real<lower=0> sigma; real<lower=0> nu; vector[1000] walk; }
model {
  sigma ~ exponential(20);
  nu ~ exponential(0.1);
  walk[1] ~ normal(0, sigma);
  walk[2:] ~ normal(walk[:999], sigma);
  returns ~ student_t(nu, 0, exp(walk));
}
"""

CASE = Case(DATA, ("sigma", "nu", "walk"), model, numpyro_model, pymc=pymc_model, stan=STAN)
