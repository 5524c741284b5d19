"""Small PyMC models, one for each thing that a PyMC model can have; every call builds a model anew."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

RNG = np.random.default_rng(20)
SCHOOLS = {
    "y": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
    "se": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
}
GROUP = np.arange(40) % 5
X = RNG.normal(size=40)
LINE = 1.0 + 0.5 * X + RNG.normal(0.0, 0.3, 5)[GROUP] + RNG.normal(0.0, 0.5, 40)
CHOICES = RNG.binomial(1, 1 / (1 + np.exp(-X)))


def schools(y=SCHOOLS["y"]):
    """A non-centred hierarchy with dims, coords and a deterministic."""
    with pm.Model(coords={"school": list("ABCDEFGH")}, name="") as model:
        se = pm.Data("se", SCHOOLS["se"], dims="school")
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfCauchy("tau", 5.0)
        z = pm.Normal("z", dims="school")
        effect = pm.Deterministic("effect", mu + tau * z, dims="school")
        pm.Normal("y", effect, se, observed=y, dims="school")
    return model


def varying():
    """Varying intercepts and slopes with a correlation."""
    with pm.Model(coords={"effect": ["intercept", "slope"], "group": range(5)}) as model:
        group, x = pm.Data("group_of", GROUP, dims="row"), pm.Data("x", X, dims="row")
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0))
        mean = pm.Normal("mean", 0.0, 1.0, dims="effect")
        z = pm.Normal("z", dims=("group", "effect"))
        b = pm.Deterministic("b", mean + pt.dot(z, chol.T), dims=("group", "effect"))
        sigma = pm.HalfNormal("sigma")
        pm.Normal("y", b[group, 0] + b[group, 1] * x, sigma, observed=LINE, dims="row")
    return model


def logistic(x=X, y=CHOICES):
    """A regression whose inputs and outcomes are containers."""
    with pm.Model() as model:
        inputs, outcomes = pm.Data("x", x, dims="row"), pm.Data("outcomes", y, dims="row")
        a = pm.StudentT("a", nu=4.0, sigma=2.0)
        b = pm.Normal("b", 0.0, 1.0)
        pm.Bernoulli("y", logit_p=a + b * inputs, observed=outcomes, dims="row")
    return model


def ordinal():
    """Ordered cutpoints."""
    with pm.Model() as model:
        b = pm.Normal("b")
        cuts = pm.Normal(
            "cuts", 0.0, 2.0, shape=3, transform=pm.distributions.transforms.ordered, initval=[-1.0, 0.0, 1.0]
        )
        pm.OrderedLogistic("y", eta=b * X, cutpoints=cuts, observed=np.digitize(X, [-1.0, 0.0, 1.0]))
    return model


def mixture():
    """A mixture with its labels summed out, and weights on a simplex."""
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", np.ones(3))
        means = pm.Normal("means", [-2.0, 0.0, 2.0], 1.0)
        sigma = pm.Gamma("sigma", 2.0, 2.0)
        pm.NormalMixture("y", weights, means, sigma, observed=LINE)
    return model


def volatility():
    """A random walk, and an autoregression."""
    with pm.Model() as model:
        step = pm.Exponential("step", 10.0)
        walk = pm.GaussianRandomWalk("walk", sigma=step, init_dist=pm.Normal.dist(0.0, 1.0), shape=40)
        rho = pm.Uniform("rho", -1.0, 1.0)
        level = pm.AR("level", rho[None], sigma=0.3, init_dist=pm.Normal.dist(0.0, 1.0), shape=40)
        pm.StudentT("y", nu=5.0, mu=level, sigma=pt.exp(walk), observed=LINE)
    return model


def counts():
    """Counts with more zeros than their distribution has."""
    with pm.Model() as model:
        psi = pm.Beta("psi", 2.0, 2.0)
        a, b = pm.Normal("a"), pm.Normal("b")
        alpha = pm.Gamma("alpha", 2.0, 0.5)
        y = np.where(GROUP == 0, 0, np.round(np.exp(1.0 + 0.3 * X))).astype(int)
        pm.ZeroInflatedNegativeBinomial("y", psi, pt.exp(a + b * X), alpha, observed=y)
    return model


def missing():
    """Missing observations and missing inputs, both imputed."""
    x, y = X.copy(), LINE.copy()
    x[[3, 7]], y[[0, 7, 20]] = np.nan, np.nan
    with pm.Model() as model:
        inputs = pm.Normal("x", 0.0, 1.0, observed=x)
        a, b = pm.Normal("a"), pm.Normal("b")
        pm.Normal("y", a + b * inputs, 0.5, observed=y)
    return model


def potential():
    """A flat prior, a soft constraint, and data that are an array of an expression."""
    with pm.Model() as model:
        b = pm.Flat("b", shape=2)
        s = pm.HalfFlat("s")
        pm.Potential("sum to zero", -10.0 * pt.sum(b) ** 2)
        pm.Potential("scale", -s)
        pm.Normal("y", pt.dot(np.stack([X, X**2], 1), b), s, observed=LINE)
    return model


def censored():
    """Censored observations, and truncated ones, with parameters within bounds."""
    with pm.Model() as model:
        mu = pm.TruncatedNormal("mu", 0.0, 2.0, lower=-1.0)
        sigma = pm.Uniform("sigma", 0.1, 5.0)
        pm.Censored("y", pm.Normal.dist(mu, sigma), lower=None, upper=1.5, observed=np.minimum(LINE, 1.5))
        pm.Truncated("z", pm.Normal.dist(mu, sigma), lower=0.0, observed=np.abs(LINE))
    return model


MODELS = (schools, varying, logistic, ordinal, mixture, volatility, counts, missing, potential, censored)
