"""ChEES-HMC: chains that adapt together draw from the posterior, and nobody outside their dataset notices."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from monte_carlo import check_moments

import jaxlatent as jl

#: Conjugate, of scales that are a thousand apart, and correlated through the observation of a sum.
SCALES = np.array([0.05, 1.0, 50.0])
MODEL = jl.Model(
    {"x": dist.Normal(jnp.zeros(3), SCALES).to_event(1)},
    lambda p, d: {"y": dist.Normal(jnp.sum(p.x / SCALES), 0.5)},
    key="three scales",
)
ENGINE = jl.ChEES(chains=32, warmup=300, draws=150)


def exact(y):
    """Mean and standard deviations, by hand: in units of the scales the prior is standard, and the sum of all three is observed."""
    covariance = np.eye(3) - np.ones((3, 3)) / (3 + 0.25)
    return SCALES * (covariance @ np.full(3, y)) / 0.25, SCALES * np.sqrt(np.diag(covariance))


@pytest.fixture(scope="module")
def many():
    return jl.fit(MODEL, jl.batch({"low": {"y": np.float32(-2.0)}, "high": {"y": np.float32(3.0)}}), ENGINE, 0)


@pytest.mark.parametrize(("name", "y"), [("low", -2.0), ("high", 3.0)])
def test_draws_have_the_moments_of_the_posterior(many, name, y):
    one = many[name]
    assert (one.status == jl.Status.OK).all()
    for draws, mean, sd in zip(np.moveaxis(one.params["x"], -1, 0), *exact(y), strict=True):
        check_moments(draws, mean, sd)


def test_step_size_and_length_are_learned(many):
    """Acceptance no lower than its target, trajectories longer than a step, one step size and one number of steps for all chains."""
    # In three dimensions the longest stable step is accepted more often than the target asks.
    statistics = many.statistics
    harmonic = 1 / np.mean(1 / np.maximum(statistics["acceptance_rate"], 1e-3), axis=(1, 2))
    assert ((harmonic > 0.5) & (harmonic < 0.98)).all()
    steps = statistics["n_steps"]
    assert (steps.mean((1, 2)) > 1.5).all() and steps.max() < 100
    assert (steps == steps[:, :1]).all(), "no chain waits for another"
    assert all(len(np.unique(one)) == 1 for one in statistics["step_size"])


def test_chains_are_worth_more_than_random_walks(many):
    """A trajectory crosses the posterior: draws follow each other nearly independently."""
    summary = many["low"].summary()
    assert (summary["ess_bulk"] > 0.1 * 32 * 150).all() and (summary["r_hat"] < 1.02).all()


@pytest.mark.devices
def test_a_dataset_does_not_see_its_neighbours():
    engine = jl.ChEES(chains=8, warmup=30, draws=10)
    data = [{"y": np.float32(y)} for y in (-2.0, 3.0, 0.0)]
    one, other = (jl.fit(MODEL, jl.batch(some), engine, 0) for some in (data, [data[2], data[1], data[0]]))
    np.testing.assert_array_equal(one[1].params["x"], other[1].params["x"])


@pytest.mark.slow
def test_draws_are_bitwise_the_same_for_any_segment():
    engine = jl.ChEES(chains=8, warmup=30, draws=20)
    one, other = (jl.fit(MODEL, {"y": np.float32(1.0)}, engine, 0, segment=segment) for segment in (250, 7))
    np.testing.assert_array_equal(one.params["x"], other.params["x"])


def test_a_broken_chain_does_not_poison_the_others():
    cliff = lambda x: jnp.where(x > 50.0, jnp.nan, -0.5 * x**2)
    posterior = jl.from_log_density(cliff, jnp.zeros(()))
    start = np.linspace(-2.0, 2.0, 16)
    start[3] = 99.0
    result = jl.fit(posterior, None, jl.ChEES(chains=16, warmup=200, draws=200), 0, init={"position": start})
    assert result.status[3] == jl.Status.NON_FINITE and (np.delete(result.status, 3) == jl.Status.OK).all()
    check_moments(np.delete(result.params["position"], 3, 0), 0.0, 1.0)


@pytest.mark.slow
def test_run_is_the_same_algorithm():
    posterior = jl.condition(MODEL, {"y": np.float32(1.0)})
    out = jax.jit(jl.run, static_argnums=1)(posterior, ENGINE, jax.random.key(2))
    for draws, mean, sd in zip(np.moveaxis(np.asarray(out.params["x"]), -1, 0), *exact(1.0), strict=True):
        check_moments(draws, mean, sd)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"chains": 1}, "chains"),
        ({"draws": 0}, "draws"),
        ({"target_accept": 1.0}, "target_accept"),
        ({"chain": 4}, "chain"),
    ],
)
def test_bad_settings_are_named(options, named):
    with pytest.raises(jl.InputError, match=rf"ChEES\({named}=\.\.\.\)"):
        jl.ChEES(**options)
