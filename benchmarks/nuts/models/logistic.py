"""Logistic regression of 2,000 rows on 20 columns: 21 parameters."""

import numpy as np
import numpyro
import numpyro.distributions as dist

import jaxlatent as jl
from benchmarks.nuts.case import Case

ROWS, COLUMNS = 2000, 20


def simulated():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(ROWS, COLUMNS))
    chance = 1.0 / (1.0 + np.exp(-(x @ rng.normal(0.0, 0.5, COLUMNS) - 0.5)))
    return {"x": x.astype(np.float32), "y": rng.binomial(1, chance)}


DATA = simulated()


def model():
    return jl.Model(
        {"intercept": dist.Normal(0.0, 5.0), "slopes": dist.Normal(0.0, 2.5).expand([COLUMNS]).to_event(1)},
        lambda p, d: {"y": dist.Bernoulli(logits=p.intercept + d.x @ p.slopes)},
    )


def numpyro_model(x, y):
    intercept = numpyro.sample("intercept", dist.Normal(0.0, 5.0))
    slopes = numpyro.sample("slopes", dist.Normal(0.0, 2.5).expand([COLUMNS]).to_event(1))
    numpyro.sample("y", dist.Bernoulli(logits=intercept + x @ slopes), obs=y)


def pymc_model():
    import pymc as pm

    with pm.Model() as model:
        slopes = pm.Normal("slopes", 0.0, 2.5, shape=COLUMNS)
        pm.Bernoulli("y", logit_p=pm.Normal("intercept", 0.0, 5.0) + DATA["x"] @ slopes, observed=DATA["y"])
    return model


STAN = """
data { matrix[2000, 20] x; array[2000] int y; }
parameters { real intercept; vector[20] slopes; }
model {
  intercept ~ normal(0, 5);
  slopes ~ normal(0, 2.5);
  y ~ bernoulli_logit_glm(x, intercept, slopes);
}
"""

CASE = Case(DATA, ("intercept", "slopes"), model, numpyro_model, pymc=pymc_model, stan=STAN)
