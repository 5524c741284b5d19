"""An ordered probit with effects of 40 groups of 25 answers on a scale of five: 46 parameters."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import ndtr
from numpyro.distributions import constraints

import jaxlatent as jl
from benchmarks.nuts.case import Case

GROUPS, ANSWERS, CUTS = 40, 25, 4


def simulated():
    rng = np.random.default_rng(5)
    group, x = np.repeat(np.arange(GROUPS), ANSWERS), rng.normal(size=GROUPS * ANSWERS)
    latent = rng.normal(0.0, 0.8, GROUPS)[group] + 0.7 * x + rng.normal(size=x.size)
    return {"x": x.astype(np.float32), "group": group, "y": np.digitize(latent, [-1.2, -0.3, 0.5, 1.4])}


DATA = simulated()


def graded(mean, cuts):
    """Categories between the cuts of a normal variable of unit variance."""
    below = ndtr(cuts - mean[..., None])
    ends = jnp.zeros((*below.shape[:-1], 1), below.dtype)
    return dist.Categorical(probs=jnp.diff(jnp.concatenate([ends, below, ends + 1], -1)))


def model(centring=jl.noncentred):
    return jl.Model(
        {
            "spread": dist.HalfNormal(1.0),
            "effects": lambda p: centring(dist.Normal(0.0, p.spread).expand([GROUPS]).to_event(1)),
            "slope": dist.Normal(0.0, 1.0),
            "cuts": jl.ordered(dist.Normal(0.0, 2.0).expand([CUTS])),
        },
        lambda p, d: {"y": graded(p.effects[d.group] + p.slope * d.x, p.cuts)},
    )


def numpyro_model(x, group, y):
    spread = numpyro.sample("spread", dist.HalfNormal(1.0))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([GROUPS]).to_event(1))
    effects = numpyro.deterministic("effects", spread * z)
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    cuts = numpyro.sample("cuts", dist.ImproperUniform(constraints.ordered_vector, (), (CUTS,)))
    numpyro.factor("prior_of_cuts", jnp.sum(dist.Normal(0.0, 2.0).log_prob(cuts)))
    numpyro.sample("y", graded(effects[group] + slope * x, cuts), obs=y)


def pymc_model():
    import pymc as pm

    in_order = pm.distributions.transforms.ordered
    with pm.Model() as model:
        effects = pm.Deterministic("effects", pm.HalfNormal("spread", 1.0) * pm.Normal("z", 0.0, 1.0, shape=GROUPS))
        cuts = pm.Normal("cuts", 0.0, 2.0, shape=CUTS, transform=in_order, initval=np.linspace(-1.0, 1.0, CUTS))
        mean = effects[DATA["group"]] + pm.Normal("slope", 0.0, 1.0) * DATA["x"]
        pm.OrderedProbit("y", eta=mean, cutpoints=cuts, compute_p=False, observed=DATA["y"])
    return model


STAN = """
data { vector[1000] x; array[1000] int group; array[1000] int y; }
parameters { real<lower=0> spread; vector[40] z; real slope; ordered[4] cuts; }
transformed parameters { vector[40] effects = spread * z; }
model {
  spread ~ std_normal();
  z ~ std_normal();
  slope ~ std_normal();
  cuts ~ normal(0, 2);
  for (n in 1:1000) y[n] + 1 ~ ordered_probit(effects[group[n] + 1] + slope * x[n], cuts);
}
"""

CASE = Case(
    DATA,
    ("spread", "effects", "slope", "cuts"),
    model,
    numpyro_model,
    informed=lambda: model(jl.informed),
    pymc=pymc_model,
    stan=STAN,
)
