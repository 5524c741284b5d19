"""Two-parameter item response, 200 persons and 50 items: 301 parameters."""

import numpy as np
import numpyro
import numpyro.distributions as dist

import jaxlatent as jl
from benchmarks.nuts.case import Case

PERSONS, ITEMS = 200, 50


def simulated():
    rng = np.random.default_rng(3)
    ability, slope = rng.normal(size=PERSONS), rng.lognormal(0.0, 0.4, ITEMS)
    logits = slope * (ability[:, None] - rng.normal(0.0, 1.2, ITEMS))
    return {"y": rng.binomial(1, 1.0 / (1.0 + np.exp(-logits)))}


DATA = simulated()


def model():
    return jl.Model(
        {
            "ability": dist.Normal(0.0, 1.0).expand([PERSONS]).to_event(1),
            "spread": dist.HalfNormal(2.0),
            "difficulty": lambda p: dist.Normal(0.0, p.spread).expand([ITEMS]).to_event(1),
            "slope": dist.LogNormal(0.0, 0.5).expand([ITEMS]).to_event(1),
        },
        lambda p, d: {"y": dist.Bernoulli(logits=p.slope * (p.ability[:, None] - p.difficulty))},
    )


def numpyro_model(y):
    ability = numpyro.sample("ability", dist.Normal(0.0, 1.0).expand([PERSONS]).to_event(1))
    spread = numpyro.sample("spread", dist.HalfNormal(2.0))
    difficulty = numpyro.sample("difficulty", dist.Normal(0.0, spread).expand([ITEMS]).to_event(1))
    slope = numpyro.sample("slope", dist.LogNormal(0.0, 0.5).expand([ITEMS]).to_event(1))
    numpyro.sample("y", dist.Bernoulli(logits=slope * (ability[:, None] - difficulty)), obs=y)


def pymc_model():
    import pymc as pm

    with pm.Model() as model:
        ability, spread = pm.Normal("ability", 0.0, 1.0, shape=PERSONS), pm.HalfNormal("spread", 2.0)
        difficulty = pm.Normal("difficulty", 0.0, spread, shape=ITEMS)
        slope = pm.LogNormal("slope", 0.0, 0.5, shape=ITEMS)
        pm.Bernoulli("y", logit_p=slope * (ability[:, None] - difficulty), observed=DATA["y"])
    return model


STAN = """
data { array[200, 50] int y; }
parameters { vector[200] ability; real<lower=0> spread; vector[50] difficulty; vector<lower=0>[50] slope; }
model {
  ability ~ std_normal();
  spread ~ normal(0, 2);
  difficulty ~ normal(0, spread);
  slope ~ lognormal(0, 0.5);
  for (i in 1:200) y[i] ~ bernoulli_logit(slope .* (ability[i] - difficulty));
}
"""

CASE = Case(DATA, ("ability", "spread", "difficulty", "slope"), model, numpyro_model, pymc=pymc_model, stan=STAN)
