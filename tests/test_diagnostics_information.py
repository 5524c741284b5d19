"""PSIS, WAIC and LOO: against ArviZ, exact leave-one-out, and the laws of masking, batching and precision."""

import arviz as az
import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import genpareto, norm

import jaxlatent as jl
from jaxlatent.diagnostics import loo, psis, waic
from jaxlatent.errors import InputError

LEGACY = az.__version__.startswith("0")


def arviz_psis(log_weights):
    if LEGACY:
        return az.psislw(log_weights)
    from arviz_stats.base import array_stats

    return array_stats.psislw(-log_weights)


def arviz_criterion(kind, log_likelihood):
    draws, groups = np.zeros(log_likelihood.shape[:2]), {"log_likelihood": {"y": log_likelihood}}
    idata = (
        az.from_dict(posterior={"mu": draws}, **groups)
        if LEGACY
        else az.from_dict({"posterior": {"mu": draws}} | groups)
    )
    return az.loo(idata, pointwise=True, reff=1) if kind == "loo" else az.waic(idata, pointwise=True)


def normal_model(n, seed=0, chains=4, draws=1000):
    """Log likelihood of data of ``Normal(mu, 1)`` at exact draws under a flat prior, and its exact elpd_loo."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    mu = rng.normal(y.mean(), 1 / np.sqrt(n), (chains, draws, 1))
    left_out_mean = (y.sum() - y) / (n - 1)
    return norm.logpdf(y, mu), norm.logpdf(y, left_out_mean, np.sqrt(1 + 1 / (n - 1)))


# lengths at which the tails of ArviZ 0.2x, rounded up, and of 1.x, rounded down, are the same
@pytest.mark.parametrize("samples", [100, 400, 1600])
def test_psis_agrees_with_arviz(samples, x64):
    rng = np.random.default_rng(0)
    log_weights = np.stack([rng.standard_t(df, samples) for df in (2, 3, 10, 100)] + [rng.uniform(size=samples)])
    smoothed, k_hat = psis(log_weights)
    expected, expected_k = arviz_psis(log_weights)
    np.testing.assert_allclose(smoothed, expected, rtol=1e-8)
    np.testing.assert_allclose(k_hat, expected_k, rtol=1e-8)


@pytest.mark.skipif(not LEGACY, reason="ArviZ 1.x rounds the tail down and counts ties with the cutoff into it")
@pytest.mark.parametrize("samples", [20, 333, 1000])
def test_psis_agrees_with_arviz_on_any_length_and_on_ties(samples, x64):
    rng = np.random.default_rng(0)
    log_weights = np.stack(
        [rng.normal(size=samples), rng.normal(size=samples).round(1), 3 * rng.standard_t(2, samples)]
    )
    smoothed, k_hat = psis(log_weights)
    expected, expected_k = arviz_psis(log_weights)
    # equal weights receive their smoothed values in no particular order
    np.testing.assert_allclose(np.sort(smoothed), np.sort(expected), rtol=1e-8)
    np.testing.assert_allclose(k_hat, expected_k, rtol=1e-8)


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_psis_finds_the_shape_of_a_pareto_tail(k):
    # the mean over 50 samples: one estimate from 190 tail weights has a standard deviation of about 0.1, and the prior
    # worth ten observations pulls towards 1/2
    ratios = genpareto.rvs(k, size=(50, 4000), random_state=1)
    assert abs(psis(np.log(ratios))[1].mean() - k) < 0.06


def test_psis_is_normalised_and_ignores_a_common_factor():
    log_weights = np.random.default_rng(0).normal(size=(2, 3, 500)).astype(np.float32)
    smoothed, k_hat = psis(log_weights)
    assert smoothed.shape == (2, 3, 500) and k_hat.shape == (2, 3)
    np.testing.assert_allclose(np.exp(smoothed).sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(psis(log_weights + 512)[1], k_hat, atol=2e-3)
    np.testing.assert_allclose(k_hat[1, 2], psis(log_weights[1, 2])[1], rtol=1e-4)


def test_psis_keeps_the_order_of_the_weights():
    log_weights = np.random.default_rng(0).normal(size=700) * 3
    smoothed = np.asarray(psis(log_weights)[0])
    assert (np.diff(smoothed[np.argsort(log_weights)]) >= 0).all()


@pytest.mark.parametrize("constant", [1.0, 8.0, 4096.0])
def test_psis_of_weights_that_differ_by_rounding_errors_alone_is_that_of_equal_ones(constant):
    """Sums of the same terms in other orders; the same spread is no rounding error of terms near zero."""
    terms = constant * np.random.default_rng(0).uniform(size=(1000, 8)).astype(np.float32)
    there = np.add.reduce(terms, 1) - np.sum(terms, 1, float)
    lp = np.full(1000, np.float32(constant))
    log_weights = (lp + there.astype(np.float32)) - lp
    assert len(np.unique(log_weights)) > 1 and psis(log_weights, lp)[1] == -np.inf
    spread = np.random.default_rng(1).normal(size=1000).astype(np.float32) * 1e-3
    assert np.isfinite(psis(spread, spread)[1])


def test_an_exact_approximation_has_the_best_k_hat():
    """The posterior of a normal mean is normal: Laplace's approximation is the posterior."""
    y = np.array([1.0, 2, 3, 2, 1.5])
    model = jl.Model({"mu": dist.Normal(0, 3)}, lambda p, d: {"y": dist.Normal(p.mu, 0.5).expand([5])})
    fit = jl.fit(model, {"y": y}, jl.Laplace(), seed=1)
    assert len(np.unique(fit.statistics["lp"] - fit.statistics["log_q"])) > 1
    assert fit.statistics["khat"] < 0


def test_psis_of_a_tail_that_cannot_be_fitted():
    equal, spiked = np.zeros(100), np.where(np.arange(100) < 3, 5.0, 0.0)
    smoothed, k_hat = psis(np.stack([equal, spiked]))
    assert k_hat.tolist() == [-np.inf, np.inf]
    np.testing.assert_allclose(smoothed[0], -np.log(100), rtol=1e-6)
    np.testing.assert_allclose(smoothed[1], spiked - np.log(np.exp(spiked).sum()), rtol=1e-5)


@pytest.mark.parametrize(
    "kind", ["loo", pytest.param("waic", marks=pytest.mark.skipif(not LEGACY, reason="not in 1.x"))]
)
def test_criteria_agree_with_arviz(kind, x64):
    log_likelihood, _ = normal_model(30, chains=4, draws=400)
    criterion = {"loo": loo, "waic": waic}[kind](log_likelihood)
    expected = arviz_criterion(kind, log_likelihood)
    elpd, p, pointwise = (
        (expected[f"elpd_{kind}"], expected[f"p_{kind}"], expected[f"{kind}_i"])
        if LEGACY
        else (expected.elpd, expected.p, expected.elpd_i)
    )
    # ArviZ 0.2x divides the variance over observations by their number, not by one less
    se = expected.se * np.sqrt(30 / 29) if LEGACY else expected.se
    np.testing.assert_allclose([criterion.elpd, criterion.p, criterion.se], [elpd, p, se], rtol=1e-9)
    np.testing.assert_allclose(criterion.pointwise, pointwise, rtol=1e-9)
    if kind == "loo":
        np.testing.assert_allclose(criterion.pareto_k, expected.pareto_k, rtol=1e-7)


@pytest.mark.parametrize("criterion", [waic, loo])
def test_criteria_agree_with_exact_leave_one_out(criterion):
    log_likelihood, exact = normal_model(50)
    result = criterion(log_likelihood)
    # with 4000 independent draws each observation's log mean has an error of about 0.005, and they are correlated
    assert abs(result.elpd - exact.sum()) < 0.1
    np.testing.assert_allclose(result.pointwise, exact, atol=0.05)
    assert abs(result.p - 1) < 0.2
    assert result.deviance == -2 * result.elpd
    assert (result.n_samples, result.n_observations, result.warning) == (4000, 50, None)


@pytest.mark.parametrize("criterion", [waic, loo])
def test_several_observed_variables_are_one_set_of_observations(criterion):
    log_likelihood, _ = normal_model(24, draws=100)
    parts = {"a": log_likelihood[..., :6].reshape(4, 100, 2, 3), "b": log_likelihood[..., 6:]}
    np.testing.assert_allclose(criterion(parts).pointwise, criterion(log_likelihood).pointwise, rtol=1e-6)


@pytest.mark.parametrize("criterion", [waic, loo])
def test_masked_observations_contribute_nothing(criterion):
    log_likelihood, _ = normal_model(20, draws=100)
    padded = np.concatenate([log_likelihood, np.zeros((4, 100, 7))], -1)
    result, expected = criterion({"y": padded}, mask={"y": np.arange(27) < 20}), criterion(log_likelihood)
    np.testing.assert_allclose([result.elpd, result.se], [expected.elpd, expected.se], rtol=1e-6)


@pytest.mark.parametrize("criterion", [waic, loo])
def test_float32_agrees_with_float64(criterion):
    log_likelihood = normal_model(30)[0].astype(np.float32) - 200
    single = criterion(log_likelihood)
    with jax.enable_x64(True):
        double = criterion(log_likelihood.astype(float))
    np.testing.assert_allclose(single.elpd, double.elpd, rtol=1e-6)
    np.testing.assert_allclose(single.pointwise_p, double.pointwise_p, rtol=2e-3, atol=1e-5)


def test_warnings_count_the_observations():
    log_likelihood, _ = normal_model(30)
    log_likelihood[..., :2] = norm.logpdf(8, np.random.default_rng(0).normal(size=(4, 1000, 2)))
    assert waic(log_likelihood).warning.startswith("2 of 30 observations have")
    assert loo(log_likelihood).warning.startswith("2 of 30 observations have")
    assert "warning: 2 of 30" in str(loo(log_likelihood)) and "elpd" in str(waic(log_likelihood))


def test_a_broken_observation_is_unreliable():
    log_likelihood, _ = normal_model(10, draws=50)
    log_likelihood[0, 0, 3] = np.nan
    assert waic(log_likelihood).warning.startswith("1 of 10 observations has")
    assert loo(log_likelihood).warning.startswith("1 of 10 observations has")


@pytest.mark.parametrize(
    "log_likelihood", [{}, np.zeros(4), np.zeros((1, 1, 5)), {"a": np.zeros((2, 5, 3)), "b": np.zeros((2, 4, 3))}]
)
def test_bad_log_likelihoods_are_refused(log_likelihood):
    with pytest.raises(InputError, match="log likelihood"):
        loo(log_likelihood)
