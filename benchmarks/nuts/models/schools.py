"""Eight schools (Rubin, 1981), non-centred: 10 parameters."""

import numpy as np
import numpyro
import numpyro.distributions as dist

import jaxlatent as jl
from benchmarks.nuts.case import Case

DATA = {
    "y": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0], np.float32),
    "sigma": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0], np.float32),
}


def model(centring=jl.noncentred):
    return jl.Model(
        {
            "mu": dist.Normal(0.0, 5.0),
            "tau": dist.HalfCauchy(5.0),
            "theta": lambda p: centring(dist.Normal(p.mu, p.tau).expand([8]).to_event(1)),
        },
        lambda p, d: {"y": dist.Normal(p.theta, d.sigma)},
    )


def numpyro_model(y, sigma):
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([8]).to_event(1))
    numpyro.sample("y", dist.Normal(numpyro.deterministic("theta", mu + tau * z), sigma), obs=y)


def pymc_model():
    import pymc as pm

    with pm.Model() as model:
        mu, tau = pm.Normal("mu", 0.0, 5.0), pm.HalfCauchy("tau", 5.0)
        theta = pm.Deterministic("theta", mu + tau * pm.Normal("z", 0.0, 1.0, shape=8))
        pm.Normal("y", theta, DATA["sigma"], observed=DATA["y"])
    return model


STAN = """
data { array[8] real y; array[8] real sigma; }
parameters { real mu; real<lower=0> tau; vector[8] z; }
transformed parameters { vector[8] theta = mu + tau * z; }
model {
  mu ~ normal(0, 5);
  tau ~ cauchy(0, 5);
  z ~ std_normal();
  y ~ normal(theta, sigma);
}
"""

CASE = Case(
    DATA, ("mu", "tau", "theta"), model, numpyro_model, informed=lambda: model(jl.informed), pymc=pymc_model, stan=STAN
)
