"""ADVI, Laplace and Pathfinder on posteriors known exactly.

For a Gaussian target, log p - log q of the exact approximation is the same at every draw, so the ELBO equals the log
evidence without Monte Carlo error. Moments of draws are held to 4.5 standard errors of 1000 independent draws.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from often import often
from scipy import stats

import jaxlatent as jl
from jaxlatent.engines.base import Stage
from jaxlatent.engines.laplace import Laplace
from jaxlatent.engines.pathfinder import Pathfinder
from jaxlatent.engines.variational.advi import ADVI
from jaxlatent.engines.variational.dadvi import DADVI
from jaxlatent.execute.drive import drive
from jaxlatent.posterior.lanes import over_lanes

MEAN = np.array([1.0, -2.0, 30.0])
COV = np.array([[2.0, 0.9, 0.0], [0.9, 1.0, -3.0], [0.0, -3.0, 50.0]])
EVIDENCE = 0.5 * np.linalg.slogdet(2 * np.pi * COV)[1]
STATUS = jl.Status


def gaussian(mean, cov):
    density = lambda z, m, P: -0.5 * (z - m) @ P @ (z - m)
    return jl.from_log_density(density, jnp.zeros(len(mean)), args=(mean, np.linalg.inv(cov)))


def correlated(dim, correlation):
    return gaussian(np.zeros(dim), correlation * np.ones((dim, dim)) + (1 - correlation) * np.eye(dim))


def fit(posterior, engine, data=None, seed=0):
    return jl.fit(posterior, data, engine, seed, progress=False)


def check_draws(draws, mean, cov):
    n, sd = len(draws), np.sqrt(np.diagonal(cov))
    assert (np.abs(draws.mean(0) - mean) < 4.5 * sd / np.sqrt(n)).all()
    errors = np.sqrt((np.outer(sd, sd) ** 2 + cov**2) / n)
    assert (np.abs(np.cov(draws.T) - cov) < 4.5 * errors).all()


@pytest.mark.parametrize(
    "engine",
    [ADVI(family="full_rank", restarts=2), Laplace(restarts=2), Pathfinder(paths=2, tol=1e-8)],
    ids=lambda engine: type(engine).__name__,
)
def test_gaussian_is_exact(engine):
    result = fit(gaussian(MEAN, COV), engine)
    assert (result.status == STATUS.CONVERGED).all()
    # Pathfinder's inverse Hessian is a quasi-Newton one: close, not exact.
    tolerance = 0.1 if isinstance(engine, Pathfinder) else 2e-3
    np.testing.assert_allclose(result.objective, EVIDENCE, atol=tolerance)
    np.testing.assert_allclose(result.statistics["elbo"], EVIDENCE, atol=tolerance)
    if not isinstance(engine, Pathfinder):
        for lane in range(2):
            check_draws(result.positions[lane], MEAN, COV)
            exact = stats.multivariate_normal(MEAN, COV).logpdf(result.positions[lane])
            np.testing.assert_allclose(result.statistics["log_q"][lane], exact, atol=2e-2)
    # Weights that differ by rounding alone have any k-hat at all; where they differ, it has to be small.
    spread = (result.statistics["lp"] - result.statistics["log_q"]).std(-1)
    assert ((result.statistics["khat"] < 0.5) | (spread < 0.05)).all()


def test_linear_response_is_exact_for_a_gaussian_and_the_mean_field_too_narrow():
    mended, narrow = (
        fit(gaussian(MEAN, COV), DADVI()),
        fit(gaussian(MEAN, COV), DADVI(linear_response=False, num_samples=400)),
    )
    assert mended.status == narrow.status == [STATUS.CONVERGED]
    check_draws(mended.positions[0], MEAN, COV)
    sd = np.diagonal(np.linalg.inv(COV)) ** -0.5
    # Fixed draws know the spread of each coordinate up to their own.
    np.testing.assert_allclose(narrow.positions[0].std(0) / sd, 1, atol=0.25)
    assert mended.statistics["khat"] < 0.5


def test_an_approximation_that_misses_the_posterior_says_so():
    with pytest.warns(UserWarning, match="k-hat above 0.67 in 1 of 1 lanes"):
        fit(gaussian(np.zeros(8), 0.99 + 0.01 * np.eye(8)), DADVI(linear_response=False))


def test_too_few_fixed_draws_are_told():
    with pytest.warns(UserWarning, match="1 of 1 lanes overfit their 2 fixed draws"):
        few = fit(correlated(40, 0.0), DADVI(num_samples=2, linear_response=False))
    assert few.statistics["bound"] - few.objective > 20
    assert "too few fixed draws" in few.check().illnesses
    # Of the shape of another test, whose program it shares.
    enough = fit(correlated(8, 0.0), DADVI(linear_response=False))
    assert not enough.statistics["overfit"]


def test_no_linear_response_between_two_modes_is_told_whatever_ended_first():
    wells = jl.from_log_density(lambda p: -10 * (p["x"] ** 2 - 1) ** 2, {"x": np.zeros(())})
    result = jl.fit(wells, None, DADVI(max_iter=1), 0, progress=False, init={"x": np.zeros(())})
    assert result.status == [STATUS.DEGENERATE]


@pytest.mark.slow
def test_mean_field_of_a_gaussian_is_known():
    """The optimum has the mean, and 1 over the diagonal of the precision for variances (Bishop 2006, 10.1.2)."""
    result = fit(gaussian(MEAN, COV), ADVI(tol=0.02))
    assert result.status == [STATUS.CONVERGED]
    sd = np.diagonal(np.linalg.inv(COV)) ** -0.5
    draws = result.positions[0]
    assert (np.abs(draws.mean(0) - MEAN) < (0.1 + 4.5 / np.sqrt(1000)) * sd).all()
    np.testing.assert_allclose(draws.std(0), sd, rtol=0.05 + 4.5 / np.sqrt(2000))


@pytest.mark.slow
def test_k_hat_tells_a_bad_approximation():
    strong = correlated(6, 0.97)
    assert fit(strong, ADVI()).statistics["khat"] > 0.7
    full = fit(strong, ADVI(family="full_rank"))
    assert (full.statistics["lp"] - full.statistics["log_q"]).std() < 0.1


def test_stops_early_where_it_is_easy_and_says_so_where_it_is_not():
    easy = fit(correlated(3, 0.0), ADVI())
    assert easy.status == [STATUS.CONVERGED]
    assert easy.statistics["n_steps"] <= 1500
    assert np.isfinite(easy.trace).sum() == easy.statistics["n_steps"]
    assert fit(correlated(3, 0.0), ADVI(max_iter=150)).status == [STATUS.MAX_ITERATIONS]


@pytest.mark.slow
def test_slow_drift_is_not_convergence():
    """With steps a thousandth of the default the approximation still travels at the end."""
    slow = fit(gaussian(np.full(2, 30.0), np.eye(2)), ADVI(optimizer=optax.sgd(1e-3), max_iter=1500))
    assert slow.status == [STATUS.MAX_ITERATIONS]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mean_field", "full_rank"])
def test_units_do_not_matter(family):
    scale = np.array([1e-2, 1.0, 1e2])
    result = fit(gaussian(np.zeros(3), np.diag(scale**2)), ADVI(family=family))
    assert result.status == [STATUS.CONVERGED]
    np.testing.assert_allclose(result.objective, 1.5 * np.log(2 * np.pi), atol=1e-2)


@pytest.mark.slow
def test_optimisers_of_optax():
    result = fit(gaussian(np.zeros(2), np.eye(2)), ADVI(optimizer=optax.adam(0.05)))
    np.testing.assert_allclose(result.objective, np.log(2 * np.pi), atol=2e-2)


def test_laplace_evidence_of_a_conjugate_model():
    """Normal prior, normal likelihood: the posterior is Gaussian, the evidence a multivariate normal density."""
    y = np.array([0.3, 1.8, 2.2], np.float32)
    model = jl.Model({"m": dist.Normal(1.0, 2.0)}, lambda p, d: {"y": dist.Normal(p.m, 0.7).expand([3])})
    result = fit(model, Laplace(), {"y": y})
    exact = stats.multivariate_normal(np.ones(3), 0.49 * np.eye(3) + 4 * np.ones((3, 3))).logpdf(y)
    np.testing.assert_allclose(result.objective, exact, atol=1e-4)
    assert result.params["m"].shape == (1, 1000)


def test_laplace_has_the_jacobian():
    """Beta(10, 8) on the logit scale: mode 10/18, variance 1/10 + 1/8."""
    model = jl.Model({"rate": dist.Beta(3.0, 5.0)}, lambda p, d: {"heads": dist.Binomial(10, p.rate)})
    draws = fit(model, Laplace(draws=4000), {"heads": 7}).positions[0]
    check_draws(draws, np.log(10 / 8), np.array([[1 / 10 + 1 / 8]]))


@pytest.mark.slow
def test_laplace_of_a_flat_direction_is_degenerate():
    density = lambda z, ones: -0.5 * (ones @ z) ** 2
    result = fit(jl.from_log_density(density, jnp.zeros(2), args=(jnp.ones(2),)), Laplace())
    assert result.status == [STATUS.DEGENERATE]
    assert np.isnan(result.positions).all()


@pytest.mark.slow
def test_pathfinder_finds_the_mode_and_the_scale_of_a_skewed_posterior():
    """A gamma variable on log scale, Gamma(5, 2), whose mode lies 0.23 standard deviations above its mean."""
    density = lambda z, rate: jnp.sum(5 * z - rate * jnp.exp(z))
    result = fit(jl.from_log_density(density, jnp.zeros(3), args=(2.0,)), Pathfinder())
    assert not np.isin(result.status, [STATUS.NON_FINITE, STATUS.STUCK]).any()
    # A single path may end with a poor scale (BlackJAX's do as well): the one of highest ELBO counts.
    exact, best = stats.loggamma(5, loc=-np.log(2)), result.positions[np.argmax(result.objective)]
    np.testing.assert_allclose(best.mean(0), exact.mean(), atol=0.5 * exact.std())
    np.testing.assert_allclose(best.std(0), exact.std(), rtol=0.25)


ENGINES = {
    "mean field": ADVI(max_iter=300, draws=50),
    "full rank": ADVI(family="full_rank", max_iter=300, draws=50),
    "Laplace": Laplace(draws=50),
    "Pathfinder": Pathfinder(draws=50, paths=1),
}
MODEL = jl.Model(
    {"m": dist.Normal(0.0, 1.0), "s": dist.LogNormal(0.0, 1.0)},
    lambda p, d: {"y": dist.Normal(jnp.where(d.bad, jnp.nan, p.m), p.s)},
)


@partial(jax.jit, static_argnames="engine")
def drive_all(engine, posterior, keys, start):
    states = over_lanes(engine.init, (1, 0, 0, None))(posterior, keys, start, ())
    states = drive(engine, posterior, keys, states, (), Stage(300, 0, 0, True), jnp.full((len(start), 1), 300), 300)[0]
    return over_lanes(engine.finish, (1, 0, 0))(posterior, keys, states)


def outcome(engine, order, bad=()):
    """Datasets in some order, the bad ones with a density that is NaN, by the driver alone: no check rejects them."""
    data = [{"y": np.array([0.5, 1.0 + i, 2.0]), "bad": np.array(i in bad)} for i in order]
    keys = jnp.stack([jax.random.key(i) for i in order])[:, None]
    start = jnp.stack([jax.random.normal(key, (2,)) for key in keys[:, 0]])[:, None]
    return drive_all(engine, jl.condition(MODEL, jl.batch(data)), keys, start)


@pytest.mark.parametrize("name", often(ENGINES, {"mean field", "Pathfinder"}))
def test_lanes_do_not_see_each_other(name):
    """Neither the order of a batch nor a lane whose density is NaN changes another lane by a bit."""
    engine = ENGINES[name]
    whole, turned, broken = outcome(engine, [0, 1, 2]), outcome(engine, [2, 1, 0]), outcome(engine, [0, 1, 2], bad=[1])
    np.testing.assert_array_equal(turned.outputs.positions[::-1], whole.outputs.positions)
    np.testing.assert_array_equal(broken.outputs.positions[::2], whole.outputs.positions[::2])
    np.testing.assert_array_equal(broken.objective[::2], whole.objective[::2])
    assert (broken.status[:, 0] == STATUS.NON_FINITE).tolist() == [False, True, False]


def test_batch_is_a_loop():
    engine = ENGINES["mean field"]
    np.testing.assert_allclose(
        outcome(engine, [1]).outputs.positions[0], outcome(engine, [0, 1, 2]).outputs.positions[1], atol=1e-3
    )


def test_precisions_agree():
    engine = ADVI(family="full_rank", restarts=2)
    with jax.enable_x64(False):
        single = fit(gaussian(MEAN, COV), engine)
    with jax.enable_x64(True):
        double = fit(gaussian(MEAN, COV), engine)
    assert double.positions.dtype == np.float64 and single.positions.dtype == np.float32
    np.testing.assert_allclose(single.objective, double.objective, atol=2e-3)


@pytest.mark.parametrize(
    ("engine", "settings"),
    [
        (ADVI, {"family": "low_rank"}),
        (ADVI, {"num_samples": 0}),
        (ADVI, {"draws": 5}),
        (ADVI, {"optimizer": "adam"}),
        (DADVI, {"num_samples": 3}),
        (Laplace, {"draws": 0}),
        (Laplace, {"max_iter": 0}),
        (Pathfinder, {"paths": 0}),
        (Pathfinder, {"history": 0}),
    ],
)
def test_settings_are_checked(engine, settings):
    with pytest.raises(jl.InputError):
        engine(**settings)
