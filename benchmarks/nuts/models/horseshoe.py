"""Linear regression of 100 rows on 200 columns under a horseshoe prior: 402 parameters."""

import numpy as np
import numpyro
import numpyro.distributions as dist

import jaxlatent as jl
from benchmarks.nuts.case import Case

ROWS, COLUMNS = 100, 200


def simulated():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(ROWS, COLUMNS))
    return {
        "x": x.astype(np.float32),
        "y": (x[:, :5] @ [3.0, -2.0, 1.5, 1.0, -1.0] + rng.normal(size=ROWS)).astype(np.float32),
    }


DATA = simulated()


def model():
    return jl.Model(
        {
            "overall": dist.HalfCauchy(0.1),
            "local": dist.HalfCauchy(1.0).expand([COLUMNS]).to_event(1),
            "slopes": lambda p: jl.noncentred(dist.Normal(0.0, p.overall * p.local).to_event(1)),
            "noise": dist.HalfNormal(2.0),
        },
        lambda p, d: {"y": dist.Normal(d.x @ p.slopes, p.noise)},
    )


def numpyro_model(x, y):
    overall = numpyro.sample("overall", dist.HalfCauchy(0.1))
    local = numpyro.sample("local", dist.HalfCauchy(1.0).expand([COLUMNS]).to_event(1))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([COLUMNS]).to_event(1))
    slopes = numpyro.deterministic("slopes", overall * local * z)
    noise = numpyro.sample("noise", dist.HalfNormal(2.0))
    numpyro.sample("y", dist.Normal(x @ slopes, noise), obs=y)


def pymc_model():
    import pymc as pm

    with pm.Model() as model:
        overall, local = pm.HalfCauchy("overall", 0.1), pm.HalfCauchy("local", 1.0, shape=COLUMNS)
        slopes = pm.Deterministic("slopes", overall * local * pm.Normal("z", 0.0, 1.0, shape=COLUMNS))
        pm.Normal("y", DATA["x"] @ slopes, pm.HalfNormal("noise", 2.0), observed=DATA["y"])
    return model


STAN = """
data { matrix[100, 200] x; vector[100] y; }
parameters { real<lower=0> overall; vector<lower=0>[200] local; vector[200] z; real<lower=0> noise; }
transformed parameters { vector[200] slopes = overall * local .* z; }
model {
  overall ~ cauchy(0, 0.1);
  local ~ cauchy(0, 1);
  z ~ std_normal();
  noise ~ normal(0, 2);
  y ~ normal(x * slopes, noise);
}
"""

CASE = Case(DATA, ("overall", "local", "slopes", "noise"), model, numpyro_model, pymc=pymc_model, stan=STAN)
