"""The census models against their published fits (SYSTEMS.md, section C), within Monte Carlo error."""

from functools import cache

import jax
import numpy as np
import pytest
from often import often

import jaxlatent as jl
from jaxlatent.datasets import census_income
from jaxlatent.demos import census
from jaxlatent.diagnostics import mcse_mean

DATASET = census_income()
MODELS = {
    "C1": census.pooled,
    "C2": census.no_pooling,
    "C3": census.partial_pooling,
    "C4": lambda: census.correlated(jl.centred),
    "C5": lambda: census.correlated(jl.informed),
}
# Means and standard deviations of C3 in the order a, bm, sigma, alpha; rounded, from 3 x 10,000 draws.
MEANS = np.array([-1.771, 1.371, 1.539, -3.891, -2.719, -2.374, -1.415, -1.350, -0.712, 0.020])
SDS = np.array([0.616, 0.036, 0.530, 0.073, 0.041, 0.040, 0.056, 0.040, 0.056, 0.119])
ROUNDING = 0.0005


@cache
def fit(name):
    return jl.fit(MODELS[name](), DATASET.data, jl.NUTS(chains=4, warmup=500, draws=1000, target_accept=0.9), seed=1)


@pytest.fixture(scope="module")
def fits():
    yield {name: fit(name) for name in MODELS}
    fit.cache_clear()


def test_partial_pooling_has_the_published_posterior():
    params = fit("C3").params
    draws = np.concatenate([params[name].reshape(4, 1000, -1) for name in ("a", "bm", "sigma", "alpha")], -1)
    # The published chains count as worth a tenth of their draws.
    error = np.hypot(np.asarray(mcse_mean(draws)), SDS / np.sqrt(3000)) + ROUNDING
    z = (draws.mean((0, 1)) - MEANS) / error
    assert np.abs(z).max() < 4, z
    np.testing.assert_allclose(draws.std((0, 1)), SDS, rtol=0.12, atol=2 * ROUNDING)


@pytest.mark.parametrize("name", often(["C2", "C3", "C4", "C5"], {"C3"}))
def test_waic_deviance_is_the_published_one(name):
    assert 121 < fit(name).waic().deviance < 125


@pytest.mark.slow
def test_waic_of_the_pooled_model_is_the_published_one(fits):
    # p is near 470 and enters twice; its draws are worth some 3,000, so it is good to about 3%.
    assert fits["C1"].waic().deviance == pytest.approx(4657, abs=60)


@pytest.mark.slow
def test_comparison_puts_the_pooled_model_last(fits):
    compared = jl.compare({name: result.waic() for name, result in fits.items()}, seed=0)
    assert compared.names[-1] == "C1"
    np.testing.assert_allclose(compared.stacking.sum(), 1, atol=1e-4)


def test_a_probability_is_one_and_has_an_error():
    p = fit("C3").derived["p"]
    ahead = (p[..., 4, 1] > p[..., 3, 1]).astype(float)
    assert 0.8 < ahead.mean() < 0.95
    assert 0 < float(mcse_mean(ahead)) < 0.02


@pytest.mark.slow
def test_coordinates_do_not_change_the_effects(fits):
    """The original's non-centred model forgot the population means."""
    one, other = fits["C4"].params["effects"], fits["C5"].params["effects"]
    error = np.hypot(np.asarray(mcse_mean(one)), np.asarray(mcse_mean(other)))
    assert np.abs((one.mean((0, 1)) - other.mean((0, 1))) / error).max() < 5


@pytest.mark.slow
def test_informed_coordinates_do_not_diverge():
    assert fit("C5").statistics["diverging"].sum() == 0


def test_chains_may_start_at_the_maximum():
    model = MODELS["C3"]()
    point = jl.fit(model, DATASET.data, jl.Optimize(standard_errors=False), seed=0)
    assert point.status[0] == jl.Status.CONVERGED
    draws = jl.fit(model, DATASET.data, fit("C3").engine, seed=2, init=point)
    assert abs(draws.params["bm"].mean() - MEANS[1]) < 0.01


def test_equal_calls_give_equal_models():
    assert census.partial_pooling() == census.partial_pooling()
    assert census.correlated(jl.centred) == census.correlated(jl.centred) != census.correlated(jl.informed)


def test_probabilities_follow_from_log_odds():
    """A derived quantity and the likelihood must not drift apart: both come from the same log odds."""
    drawn = jl.sample_prior(MODELS["C5"](), DATASET.data, draws=100, seed=0)
    effects = drawn.params["effects"]
    men = np.asarray(jax.nn.sigmoid(effects.sum(-1)))
    np.testing.assert_allclose(drawn.derived["p"][..., 1], men, rtol=1e-5)
    np.testing.assert_allclose(drawn.derived["advantage"], np.diff(drawn.derived["p"])[..., 0], atol=1e-6)


@pytest.mark.slow
def test_mean_field_is_far_too_narrow_and_says_so_and_correlations_mend_it(fits):
    exact = fits["C5"].params["a"].std()
    with pytest.warns(UserWarning, match="k-hat"):
        narrow = jl.fit(census.correlated(jl.noncentred), DATASET.data, jl.ADVI(), seed=0)
    assert narrow.params["a"].std() < 0.1 < exact
    assert "bad k-hat" in narrow.check().illnesses
    for engine in (jl.ADVI(family="full_rank"), jl.DADVI()):
        mended = jl.fit(census.correlated(jl.informed), DATASET.data, engine, seed=0)
        assert mended.statistics["khat"].max() < 0.7
        assert 0.7 * exact < mended.params["a"].std() < 1.3 * exact
