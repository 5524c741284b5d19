"""R-hat, ESS and MCSE: agreement with ArviZ, and the laws of padding, batching and precision."""

from functools import partial

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from often import often
from scipy.signal import lfilter

from jaxlatent.diagnostics import (
    ess_bulk,
    ess_mean,
    ess_quantile,
    ess_tail,
    mcse_mean,
    mcse_quantile,
    mcse_sd,
    nested_rhat,
    rhat,
)
from jaxlatent.errors import InputError

LEGACY = az.__version__.startswith("0")


def autoregressive(shape, phi, seed=0):
    """Chains of a stationary AR(1) process with unit variance, along axis 1."""
    noise = np.random.default_rng(seed).normal(size=shape) * np.sqrt(1 - phi**2)
    noise[:, 0] /= np.sqrt(1 - phi**2)
    return lfilter([1], [1, -phi], noise, axis=1)


def arviz_value(statistic, x, **options):
    axes = {} if LEGACY else {"chain_axis": 0, "draw_axis": 1}
    return float(getattr(az, statistic)(x, **options, **axes))


TAILS = {} if LEGACY else {"prob": (0.05, 0.95)}
CASES = {
    "rhat": (rhat, partial(arviz_value, "rhat")),
    "ess_bulk": (ess_bulk, partial(arviz_value, "ess", method="bulk")),
    "ess_tail": (ess_tail, partial(arviz_value, "ess", method="tail", **TAILS)),
    "ess_mean": (ess_mean, partial(arviz_value, "ess", method="mean")),
    "ess_quantile": (partial(ess_quantile, prob=0.3), partial(arviz_value, "ess", method="quantile", prob=0.3)),
    "mcse_mean": (mcse_mean, partial(arviz_value, "mcse", method="mean")),
    "mcse_sd": (mcse_sd, partial(arviz_value, "mcse", method="sd")),
    "mcse_quantile": (partial(mcse_quantile, prob=0.3), partial(arviz_value, "mcse", method="quantile", prob=0.3)),
    "nested_rhat": (partial(nested_rhat, superchains=2), None),
}
every = pytest.mark.parametrize("name", often(CASES, {"rhat", "ess_bulk", "nested_rhat"}))
with_reference = pytest.mark.parametrize(
    "name",
    often([name for name, (_, reference) in CASES.items() if reference], {"rhat", "ess_bulk", "ess_tail", "mcse_mean"}),
)


# On the host, and compiled: draws are given as the one array or the other.
@pytest.fixture(params=["numpy", "jax"])
def given(request):
    return np.asarray if request.param == "numpy" else jnp.asarray


# Most tests share this shape and pass `n`, so that each statistic is compiled a few times only.
SHAPE = (4, 101, 4)


@with_reference
def test_agrees_with_arviz(name, given, x64):
    ours, reference = CASES[name]
    shifted = autoregressive(SHAPE[:2], 0.5) + np.arange(4)[:, None]
    cauchy = np.random.default_rng(1).standard_cauchy(SHAPE[:2])
    columns = [autoregressive(SHAPE[:2], -0.7), autoregressive(SHAPE[:2], 0.97), shifted, cauchy]
    for n in (4, 5, 6, 7, 10, 51, 100, 101):
        values = ours(given(np.stack(columns, -1)), n=n)
        np.testing.assert_allclose(values, [reference(x[:, :n]) for x in columns], rtol=1e-9)


@with_reference
@pytest.mark.filterwarnings("ignore:invalid value")
def test_agrees_with_arviz_on_ties_constants_and_infinities(name, given, x64):
    ours, reference = CASES[name]
    rounded = autoregressive(SHAPE[:2], 0.5).round(1)
    infinite = np.where(rounded > 1.5, np.inf, rounded)
    ranks_only = infinite if name in ("rhat", "ess_bulk") else rounded
    columns = [rounded, (rounded > 0).astype(float), np.full(SHAPE[:2], 2.5), ranks_only]
    np.testing.assert_allclose(ours(given(np.stack(columns, -1)), n=101), [reference(x) for x in columns], rtol=1e-9)


@every
def test_nan_in_one_parameter_stays_there(name, given):
    draws = autoregressive(SHAPE, 0.3)
    draws[1, 7, 0] = np.nan
    assert np.isnan(CASES[name][0](given(draws), n=101)).tolist() == [True, False, False, False]


@every
def test_fewer_than_four_draws_give_nan(name, given):
    assert np.isnan(CASES[name][0](given(autoregressive((4, 3, 2), 0.3)))).all()
    assert np.isnan(CASES[name][0](given(autoregressive(SHAPE, 0.3)), n=3)).all()


@every
def test_padded_equals_sliced(name, given, x64):
    statistic = CASES[name][0]
    draws = autoregressive(SHAPE, 0.6).round(2)
    draws[:, 31:] = np.nan
    np.testing.assert_allclose(statistic(given(draws), n=31), statistic(draws[:, :31]), rtol=1e-10)


def test_infinite_draws_do_not_tie_with_the_padding(given, x64):
    draws = autoregressive(SHAPE, 0.6)
    draws[2, 5:9] = np.inf
    np.testing.assert_allclose(rhat(given(draws), n=41), rhat(draws[:, :41]), rtol=1e-10)


def test_draws_on_the_host_compile_nothing():
    draws, heard = autoregressive((4, 47, 2), 0.6), []
    listen = lambda event, seconds, **_: heard.append(event)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        values = [statistic(draws) for statistic, _ in CASES.values()]
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not heard and all(type(value) is np.ndarray for value in values)


def test_growing_draws_compile_once():
    draws = autoregressive((4, 64, 3), 0.6)
    traces = []
    stop = jax.jit(lambda x, n: traces.append(1) or rhat(x, n))
    for n in (20, 40, 64):
        stop(draws, n)
    assert len(traces) == 1


@pytest.mark.parametrize("name", often(["rhat", "ess_tail", "mcse_quantile", "nested_rhat"], {"rhat", "mcse_quantile"}))
def test_vmap_equals_loop(name, x64):
    statistic, counts = CASES[name][0], np.array([101, 12, 33])
    datasets = autoregressive((4, 101, 3, 4), 0.5)
    batched = jax.jit(jax.vmap(lambda x, n: statistic(x, n=n), in_axes=(2, 0)))(datasets, counts)
    loop = [statistic(datasets[:, :, i], n=n) for i, n in enumerate(counts.tolist())]
    np.testing.assert_allclose(batched, loop, rtol=1e-10)


@every
def test_float32_agrees_with_float64(name, given):
    draws = autoregressive(SHAPE, 0.6).astype(np.float32)
    single = CASES[name][0](given(draws), n=101)
    with jax.enable_x64(True):
        double = CASES[name][0](given(draws.astype(float)), n=101)
    assert single.dtype == np.float32 and double.dtype == np.float64
    np.testing.assert_allclose(single, double, rtol=2e-4)


def test_float32_survives_large_numbers(given):
    draws = autoregressive(SHAPE, 0.6).astype(np.float32)
    for error in (mcse_mean, mcse_sd):
        np.testing.assert_allclose(error(given(draws * 1e12), n=101) / 1e12, error(draws, n=101), rtol=1e-3)


def test_trailing_shape_is_kept():
    draws = autoregressive(SHAPE, 0.2)
    assert ess_mean(draws[..., 0]).shape == ()
    np.testing.assert_allclose(ess_mean(draws.reshape(4, 101, 2, 2)), ess_mean(draws).reshape(2, 2), rtol=1e-5)


def test_integer_draws_are_accepted():
    counts = np.random.default_rng(0).poisson(3.0, SHAPE)
    np.testing.assert_allclose(ess_bulk(counts, n=101), ess_bulk(counts.astype(float), n=101), rtol=1e-6)


def test_one_chain_is_compared_with_itself():
    assert rhat(autoregressive((1, 1000), 0.0)) < 1.02
    assert rhat(autoregressive((1, 1000), 0.0) + np.linspace(0, 3, 1000)) > 1.2


def test_rhat_of_independent_draws_is_one():
    # over 200 parameters the excess over 1 of 4 × 1000 independent draws averages 0.0006 and stays below 0.01
    values = rhat(autoregressive((4, 1000, 200), 0.0))
    assert abs(values.mean() - 1) < 0.002 and values.max() < 1.01


def test_rhat_sees_a_shift_and_a_scale():
    draws = autoregressive((4, 500, 2), 0.0)
    draws[0, :, 0] += 1
    draws[0, :, 1] *= 4
    assert (rhat(draws) > 1.05).all()


@pytest.mark.parametrize("phi", [-0.3, 0.0, 0.7])
def test_ess_of_an_autoregression(phi):
    # the mean of 64 estimates, each with a standard deviation of about 6%, has a standard error below 1%
    expected = 4000 * (1 - phi) / (1 + phi)
    draws = autoregressive((4, 1000, 64), phi)
    for statistic in (ess_bulk, ess_mean):
        np.testing.assert_allclose(statistic(draws).mean(), expected, rtol=0.05)


@pytest.mark.parametrize(
    ("error", "estimate"),
    [
        (mcse_mean, lambda x: x.mean((0, 1))),
        (mcse_sd, lambda x: x.std((0, 1))),
        (partial(mcse_quantile, prob=0.9), lambda x: np.quantile(x, 0.9, axis=(0, 1))),
    ],
)
def test_mcse_is_the_spread_of_replicated_estimates(error, estimate):
    # the spread of 400 replications is known to 3.5%; 15% is four standard errors
    replications = autoregressive((4, 250, 400), 0.5)
    np.testing.assert_allclose(error(replications).mean(), estimate(replications).std(), rtol=0.15)


def test_nested_rhat_follows_its_definition(x64):
    """Equations 4 to 8 of Margossian et al. 2024, on ranks of halves, written out."""
    from scipy.stats import norm, rankdata

    x = autoregressive((6, 40), 0.4) + np.repeat([0, 0.5, 1], 2)[:, None]
    halves = np.stack([x[:, :20], x[:, 20:]], 1).reshape(3, 4, 20)

    def nested(v):
        z = norm.ppf((rankdata(v).reshape(v.shape) - 3 / 8) / (v.size + 1 / 4))
        within = z.var(2, ddof=1).mean(1) + z.mean(2).var(1, ddof=1)
        return np.sqrt(1 + z.mean((1, 2)).var(ddof=1) / within.mean())

    expected = max(nested(halves), nested(abs(halves - np.median(halves))))
    np.testing.assert_allclose(nested_rhat(x, 3), expected, rtol=1e-9)
    shuffled = np.array([4, 0, 2, 1, 5, 3])
    np.testing.assert_allclose(nested_rhat(x[shuffled], np.repeat(list("abc"), 2)[shuffled]), expected, rtol=1e-9)


@pytest.mark.skipif(LEGACY, reason="ArviZ has nested R-hat since 1.0")
def test_nested_rhat_agrees_with_arviz(x64):
    x, ids = autoregressive((6, 41), 0.4), np.array([0, 1, 2, 0, 1, 2])
    expected = float(az.rhat_nested(x, superchain_ids=ids, chain_axis=0, draw_axis=1))
    np.testing.assert_allclose(nested_rhat(x, ids), expected, rtol=1e-9)


@pytest.mark.parametrize("superchains", [1, 3, 8, [0, 0, 0, 1], [0, 0, 1, 1, 2, 2]])
def test_unequal_superchains_are_refused(superchains):
    with pytest.raises(InputError, match="equal size"):
        nested_rhat(np.zeros((4, 10)), superchains)
