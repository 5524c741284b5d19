"""NUTS on posteriors known exactly: conjugate, Gaussian, or a sum over a grid.

The conjugate blocks are independent parts of one model, so that one compiled program
serves all. Limits: see `monte_carlo`.
"""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from monte_carlo import check_moments, mean_scores
from numpyro.distributions import constraints
from often import often
from scipy import stats

import jaxlatent as jl
from jaxlatent.diagnostics import mcse_quantile

rng = np.random.default_rng(20)
DESIGN = np.column_stack([np.ones(20), np.linspace(0, 3, 20), np.linspace(0, 3, 20) ** 2]).astype(np.float32)
DATA = {
    "normal": rng.normal(2.0, 1.5, 10).astype(np.float32),
    "successes": np.array(8),
    "flat_normal": rng.normal(-3.0, 2.0, 5).astype(np.float32),
    "response": (DESIGN @ [1.0, -2.0, 0.5] + rng.normal(0, 0.7, 20)).astype(np.float32),
    "counts": np.array([3, 0, 4, 2, 1, 5]),
    "categories": np.array([3, 0, 7]),
    "robust": np.array([-1.0, 0.2, 0.5, 6.0], np.float32),
    "design": DESIGN,
}
MODEL = jl.Model(
    {
        "mean": dist.Normal(1.0, 2.0),
        "probability": dist.Beta(1.0, 1.0),
        "flat": dist.ImproperUniform(constraints.real, (), ()),
        "slopes": dist.Normal(0.0, 3.0).expand([3]).to_event(1),
        "rate": dist.Gamma(2.0, 1.0),
        "simplex": dist.Dirichlet(jnp.array([1.0, 2.0, 3.0])),
        "location": dist.Normal(0.0, 5.0),
    },
    lambda p, d: {
        "normal": dist.Normal(p.mean, 1.5).expand([10]),
        "successes": dist.Binomial(10, p.probability),
        "flat_normal": dist.Normal(p.flat, 2.0).expand([5]),
        "response": dist.Normal(d.design @ p.slopes, 0.7),
        "counts": dist.Poisson(p.rate).expand([6]),
        "categories": dist.Multinomial(10, p.simplex),
        "robust": dist.StudentT(3.0, p.location, 1.0).expand([4]),
    },
)


@pytest.fixture(scope="module")
def fit():
    return jl.fit(MODEL, DATA, jl.NUTS(chains=4, warmup=400, draws=2000), seed=7)


def check_quantiles(draws, distribution, probs=(0.05, 0.5, 0.95)):
    for prob in probs:
        exact, error = distribution.ppf(prob), float(mcse_quantile(draws, prob))
        assert abs(np.quantile(draws, prob) - exact) < 4.5 * error, (
            f"quantile {prob}: {np.quantile(draws, prob)} against {exact}"
        )


def test_all_lanes_end_well(fit):
    assert (fit.status == jl.Status.OK).all()
    assert fit.statistics["diverging"].mean() < 0.01


@pytest.mark.slow
def test_normal_mean_with_known_variance(fit):
    y, precision = DATA["normal"].astype(float), 1 / 2.0**2 + 10 / 1.5**2
    mean, sd = (1.0 / 2.0**2 + y.sum() / 1.5**2) / precision, precision**-0.5
    check_moments(fit.params["mean"], mean, sd)
    check_quantiles(fit.params["mean"], stats.norm(mean, sd))


@pytest.mark.parametrize(
    "name, exact",
    [
        ("probability", stats.beta(9, 3)),
        ("rate", stats.gamma(2 + 15, scale=1 / (1 + 6))),
        ("flat", stats.norm(DATA["flat_normal"].astype(float).mean(), 2.0 / np.sqrt(5))),
    ],
    ids=["beta-binomial, 8 of 10", "gamma-poisson", "flat prior of a mean"],
)
def test_conjugate_pairs(fit, name, exact):
    check_moments(fit.params[name], exact.mean(), exact.std())
    check_quantiles(fit.params[name], exact)


@pytest.mark.slow
def test_dirichlet_multinomial(fit):
    exact = stats.dirichlet([4.0, 2.0, 10.0])
    check_moments(fit.params["simplex"], exact.mean(), np.sqrt(exact.var()))
    np.testing.assert_allclose(fit.params["simplex"].sum(-1), 1.0, rtol=1e-5)


def test_linear_regression_with_known_noise_has_its_dense_covariance(fit):
    x = DESIGN.astype(float)
    covariance = np.linalg.inv(np.eye(3) / 9.0 + x.T @ x / 0.49)
    mean = covariance @ x.T @ DATA["response"].astype(float) / 0.49
    draws = fit.params["slopes"].astype(float)
    check_moments(draws, mean, np.sqrt(np.diag(covariance)))
    centred = draws - mean
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(draws[..., i].ravel(), draws[..., j].ravel())[0, 1]) > 0.6  # else this would show little
        assert abs(mean_scores(centred[..., i] * centred[..., j], covariance[i, j])) < 4.5


def test_a_robust_location_against_the_sum_over_a_grid(fit):
    grid = np.linspace(-25, 25, 200_001)
    log_density = stats.norm.logpdf(grid, 0, 5) + stats.t.logpdf(DATA["robust"][:, None].astype(float), 3, grid).sum(0)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    mean = weight @ grid
    check_moments(fit.params["location"], mean, np.sqrt(weight @ (grid - mean) ** 2))


def test_blocks_that_share_no_data_are_independent(fit):
    names = ("mean", "probability", "flat", "rate", "location")
    for i, one in enumerate(names):
        for other in names[:i]:
            product = np.prod([fit.params[n] - fit.params[n].mean(dtype=float) for n in (one, other)], axis=0)
            assert abs(mean_scores(product, 0.0)) < 4.5


DIM = 10
SCALES = np.geomspace(0.1, 10.0, DIM)
CORRELATION = np.full((DIM, DIM), 0.9) + 0.1 * np.eye(DIM)
COVARIANCE = SCALES[:, None] * CORRELATION * SCALES
MEAN = np.linspace(-3, 3, DIM)


def gaussian(params, mean, precision):
    residual = params["x"] - mean
    return -0.5 * residual @ precision @ residual


@pytest.mark.parametrize("metric", often(["diag", "dense", "low_rank"], {"dense"}))
def test_a_strongly_correlated_gaussian(metric):
    args = (MEAN.astype(np.float32), np.linalg.inv(COVARIANCE).astype(np.float32))
    posterior = jl.from_log_density(gaussian, {"x": jnp.zeros(DIM)}, args=args)
    result = jl.fit(
        posterior, None, jl.NUTS(chains=2, warmup=150, draws=1500, metric=metric, rank=2), seed=1, segment=100
    )
    draws = result.params["x"].astype(float)
    check_moments(draws, MEAN, SCALES, least_ess=80)  # one direction is 90 times wider than the rest
    centred = (draws - MEAN) / SCALES
    products = centred[..., :, None] * centred[..., None, :]
    pairs = np.tril_indices(DIM, -1)
    assert (np.abs(mean_scores(products[..., pairs[0], pairs[1]], 0.9)) < 4.5).all()
    np.testing.assert_allclose(
        result.statistics["lp"],
        -0.5 * np.einsum("cdi,ij,cdj->cd", draws - MEAN, np.linalg.inv(COVARIANCE), draws - MEAN),
        atol=0.05,
    )
    # Condition number 91: the metrics that know it need a fraction of the steps.
    steps = result.statistics["n_steps"].mean()
    assert steps < (8 if metric != "diag" else 100), steps
