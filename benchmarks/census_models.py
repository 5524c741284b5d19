"""The census income data and its five models (C1 to C5), written for the peers: NumPyro, and PyMC for nutpie.

Counts of people earning above 50 K (1994 US census) by education and sex: a binomial regression with 14 rows,
    income_i ~ Binomial(total_i, logits = alpha[edu_i] + bm[edu_i] * sex_i),
whose two effects are pooled (C1), free by education (C2), partially pooled (C3), or correlated varying effects,
centred (C4) and non-centred (C5). Both languages state the same prior densities and use the same names, so that
draws can be compared name by name.
"""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

EDUCATION = ("Some HS", "HS Grad", "Some College", "Prof School", "Bachelors", "Masters", "Doctorate")
SEX = ("female", "male")

TOTAL = np.array([1321, 2932, 3390, 7111, 3227, 5131, 592, 1366, 1619, 3736, 536, 1187, 86, 327], dtype=np.int32)
ABOVE = np.array([23, 221, 226, 1449, 253, 1399, 109, 675, 339, 1882, 179, 780, 50, 256], dtype=np.int32)
DATA = {
    "income": ABOVE,
    "total": TOTAL,
    "edu": np.repeat(np.arange(7, dtype=np.int32), 2),
    "sex": np.tile(np.arange(2, dtype=np.int32), 7),
}


def c1(income, total, edu, sex):
    """Pooled: one intercept and one sex effect for all educations."""
    alpha = numpyro.sample("alpha", dist.Normal(0.0, 10.0))
    bm = numpyro.sample("bm", dist.Normal(0.0, 10.0))
    numpyro.sample("income", dist.Binomial(total, logits=alpha + bm * sex), obs=income)


def c2(income, total, edu, sex):
    """No pooling: an independent intercept for each education."""
    alpha = numpyro.sample("alpha", dist.Normal(0.0, 10.0).expand([7]).to_event(1))
    bm = numpyro.sample("bm", dist.Normal(0.0, 1.0))
    numpyro.sample("income", dist.Binomial(total, logits=alpha[edu] + bm * sex), obs=income)


def c3(income, total, edu, sex):
    """Partial pooling: intercepts drawn from a population with unknown mean and sd (centred)."""
    a = numpyro.sample("a", dist.Normal(0.0, 10.0))
    bm = numpyro.sample("bm", dist.Normal(0.0, 1.0))
    sigma = numpyro.sample("sigma", dist.HalfCauchy(2.0))
    alpha = numpyro.sample("alpha", dist.Normal(a, sigma).expand([7]).to_event(1))
    numpyro.sample("income", dist.Binomial(total, logits=alpha[edu] + bm * sex), obs=income)


def _population():
    """Mean (2,) and Cholesky factor (2, 2) of the covariance of the varying effects."""
    a = numpyro.sample("a", dist.Normal(0.0, 10.0))
    b = numpyro.sample("b", dist.Normal(0.0, 1.0))
    sds = numpyro.sample("sds", dist.HalfCauchy(2.0).expand([2]).to_event(1))
    L = numpyro.sample("L", dist.LKJCholesky(2, concentration=2.0))
    numpyro.deterministic("rho", L[1, 0])
    return jnp.stack([a, b]), sds[:, None] * L


def _observe(effects, income, total, edu, sex):
    numpyro.sample("income", dist.Binomial(total, logits=effects[edu, 0] + effects[edu, 1] * sex), obs=income)


def c4(income, total, edu, sex):
    """Correlated varying effects, centred."""
    mean, scale_tril = _population()
    effects = numpyro.sample("effects", dist.MultivariateNormal(mean, scale_tril=scale_tril).expand([7]).to_event(1))
    _observe(effects, income, total, edu, sex)


def c5(income, total, edu, sex):
    """Correlated varying effects, non-centred: effects = [a, b] + diag(sds) L z."""
    mean, scale_tril = _population()
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([7, 2]).to_event(2))
    effects = numpyro.deterministic("effects", mean + z @ scale_tril.T)
    _observe(effects, income, total, edu, sex)


NUMPYRO = {"C1": c1, "C2": c2, "C3": c3, "C4": c4, "C5": c5}


def pymc_model(name):
    """The same model for PyMC, with the data conditioned on.

    C4 and C5 use PyMC's own `LKJCholeskyCov`: same prior density as `LKJCholesky` times the half-Cauchy scales,
    another map to unconstrained space.
    """
    import pymc as pm

    edu, sex = DATA["edu"], DATA["sex"]
    with pm.Model() as model:
        if name == "C1":
            logits = pm.Normal("alpha", 0.0, 10.0) + pm.Normal("bm", 0.0, 10.0) * sex
        elif name == "C2":
            logits = pm.Normal("alpha", 0.0, 10.0, shape=7)[edu] + pm.Normal("bm", 0.0, 1.0) * sex
        elif name == "C3":
            a = pm.Normal("a", 0.0, 10.0)
            bm = pm.Normal("bm", 0.0, 1.0)
            sigma = pm.HalfCauchy("sigma", 2.0)
            logits = pm.Normal("alpha", a, sigma, shape=7)[edu] + bm * sex
        elif name in ("C4", "C5"):
            mean = pm.math.stack([pm.Normal("a", 0.0, 10.0), pm.Normal("b", 0.0, 1.0)])
            scales = pm.HalfCauchy.dist(2.0, shape=2)
            scale_tril, correlation, sds = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=scales, compute_corr=True)
            pm.Deterministic("sds", sds)
            pm.Deterministic("rho", correlation[0, 1])
            if name == "C4":
                effects = pm.MvNormal("effects", mu=mean, chol=scale_tril, shape=(7, 2))
            else:
                z = pm.Normal("z", 0.0, 1.0, shape=(7, 2))
                effects = pm.Deterministic("effects", mean + pm.math.dot(z, scale_tril.T))
            logits = effects[edu, 0] + effects[edu, 1] * sex
        else:
            raise ValueError(f"model: got {name!r}, expected one of {', '.join(NUMPYRO)}")
        pm.Binomial("income", n=TOTAL, logit_p=logits, observed=ABOVE)
    return model
