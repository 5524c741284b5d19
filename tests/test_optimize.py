"""Point estimates against closed forms, least squares and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
import scipy.optimize
from numpyro.distributions import constraints

import jaxlatent as jl
from jaxlatent.engines.base import Stage
from jaxlatent.engines.optimize.optimize import Optimize
from jaxlatent.execute.drive import drive
from jaxlatent.posterior.lanes import over_lanes

MEAN = np.array([1.0, -2.0, 3.0])
COV = np.array([[2.0, 0.9, 0.0], [0.9, 1.0, -0.3], [0.0, -0.3, 0.5]])
COIN = jl.Model({"rate": dist.Beta(3.0, 5.0)}, lambda p, d: {"heads": dist.Binomial(10, p.rate)})
LINE = jl.Model(
    {"w": dist.ImproperUniform(constraints.real, (), (2,)), "noise": dist.LogNormal(0.0, 1.0)},
    lambda p, d: {"y": dist.Normal(d.x @ p.w, p.noise)},
)


def quadratic(mean, precision):
    return jl.from_log_density(
        lambda z, m, P: -0.5 * (z - m) @ P @ (z - m), jnp.zeros(len(mean)), args=(mean, precision)
    )


GAUSSIAN = quadratic(MEAN, np.linalg.inv(COV))


def line_data(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    return {"x": x, "y": x @ [1.0, -0.5] + 0.3 * rng.normal(size=n)}


def fit(model, data=None, **settings):
    return jl.fit(model, data, Optimize(**settings), 0, progress=False)


def test_mode_and_covariance_of_a_gaussian():
    result = fit(GAUSSIAN, restarts=3)
    assert (result.status == jl.Status.CONVERGED).all()
    np.testing.assert_allclose(result.positions, np.tile(MEAN, (3, 1)), atol=1e-4)
    np.testing.assert_allclose(result.statistics["covariance"][0], COV, rtol=1e-4, atol=1e-5)
    assert (result.statistics["n_steps"] < 30).all()


@pytest.mark.parametrize(
    ("settings", "mode"),
    [({}, 9 / 16), ({"jacobian": True}, 10 / 18), ({"objective": "mle"}, 0.7)],
    ids=["map", "with Jacobian", "mle"],
)
def test_beta_binomial_has_a_closed_form(settings, mode):
    """Beta(10, 8) posterior: mode 9/16 on the unit interval; on the logit scale a/(a+b)."""
    result = fit(COIN, {"heads": 7}, **settings)
    np.testing.assert_allclose(result.params["rate"], [mode], rtol=2e-4)


def test_jacobian_off_is_the_density_of_the_values_whatever_the_adapter():
    def coin(heads):
        import numpyro

        numpyro.sample("heads", dist.Binomial(10, numpyro.sample("rate", dist.Beta(3.0, 5.0))), obs=heads)

    def bare(p):
        return dist.Beta(3.0, 5.0).log_prob(p["rate"]) + dist.Binomial(10, p["rate"]).log_prob(7)

    position = jnp.array([0.3])
    rate = jax.nn.sigmoid(position[0])
    for posterior in (
        jl.condition(COIN, {"heads": 7}),
        jl.from_numpyro(coin, jnp.array(7)),
        jl.from_log_density(bare, {"rate": jnp.zeros(())}, {"rate": constraints.unit_interval}),
    ):
        off, on = (posterior.log_density(position, jacobian) for jacobian in (False, True))
        np.testing.assert_allclose(off, bare({"rate": rate}), rtol=1e-5)
        np.testing.assert_allclose(on - off, jnp.log(rate * (1 - rate)), rtol=1e-5)


@pytest.mark.slow
def test_mode_does_not_depend_on_centring():
    def model(centring):
        effect = lambda p: centring(dist.Normal(p.m, 0.5).expand([2]).to_event(1))
        return jl.Model(
            {"m": dist.Normal(0.0, 2.0), "e": effect}, lambda p, d: {"y": dist.Normal(p.e, 1.0).to_event(1)}
        )

    one, other = (fit(model(c), {"y": np.array([1.0, 3.0])}).params["e"] for c in (jl.centred, jl.noncentred))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_regression_is_least_squares():
    data = line_data()
    result = fit(LINE, data, objective="mle")
    w, rss = np.linalg.lstsq(data["x"], data["y"], rcond=None)[:2]
    np.testing.assert_allclose(result.params["w"][0], w, atol=1e-4)
    np.testing.assert_allclose(result.params["noise"][0], np.sqrt(rss[0] / 40), rtol=1e-4)
    errors = np.sqrt(np.diagonal(result.statistics["covariance"][0]))[:2]
    exact = np.sqrt(np.diagonal(np.linalg.inv(data["x"].T @ data["x"]) * rss[0] / 40))
    np.testing.assert_allclose(errors, exact, rtol=1e-3)


@pytest.mark.slow
def test_rosenbrock_agrees_with_scipy(x64):
    cost = lambda z, bend=100.0: jnp.sum(bend * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2)
    result = fit(jl.from_log_density(lambda *args: -cost(*args), jnp.zeros(5), args=(100.0,)), restarts=4)
    assert (result.status == jl.Status.CONVERGED).all()
    for lane in range(4):
        there = result.positions[lane]
        scipy_there = scipy.optimize.minimize(cost, there + 0.05, jac=jax.grad(cost), method="BFGS", tol=1e-9)
        np.testing.assert_allclose(there, scipy_there.x, atol=1e-4)


@pytest.mark.parametrize("optimizer", [optax.adam(0.1), optax.lbfgs()], ids=["adam", "optax's lbfgs"])
def test_any_optax_optimiser(optimizer):
    result = fit(GAUSSIAN, optimizer=optimizer, max_iter=2000)
    assert result.status == [jl.Status.CONVERGED]
    np.testing.assert_allclose(result.positions[0], MEAN, atol=2e-3)


def test_trace_never_falls_and_ends_at_the_objective():
    trace = fit(GAUSSIAN, restarts=1).trace[0]
    trace = trace[np.isfinite(trace)]
    assert (np.diff(trace) >= -1e-3).all() and trace[0] < -1
    np.testing.assert_allclose(trace[-1], 0.0, atol=1e-6)


def test_limit_is_reported():
    result = fit(GAUSSIAN, max_iter=2)
    assert result.status == [jl.Status.MAX_ITERATIONS]
    assert result.statistics["n_steps"] == [2]


def test_flat_direction_is_degenerate():
    result = fit(quadratic(np.zeros(2), np.ones((2, 2))))
    assert result.status == [jl.Status.DEGENERATE]
    assert np.isnan(result.statistics["covariance"]).all()


def test_units_do_not_matter():
    """Standard deviations from 1e-3 to 1e3."""
    scale = np.array([1e-3, 1.0, 1e3])
    result = fit(quadratic(np.zeros(3), np.diag(scale**-2)))
    assert result.status == [jl.Status.CONVERGED]
    np.testing.assert_allclose(result.positions[0] / scale, 0, atol=1e-2)
    np.testing.assert_allclose(np.sqrt(np.diagonal(result.statistics["covariance"][0])), scale, rtol=1e-3)


def test_rounding_of_a_large_log_density_does_not_stop_float32():
    """An offset of 1e4 rounds values to 1e-3 nats: only slopes can tell where the mode is."""
    density = lambda z, mode: -1e4 - 0.5 * jnp.sum((z - mode) ** 2 / mode)
    result = fit(jl.from_log_density(density, jnp.zeros(3), args=(jnp.arange(1.0, 4),)), restarts=4)
    assert (result.status == jl.Status.CONVERGED).all()
    np.testing.assert_allclose(result.positions, np.tile([1.0, 2.0, 3.0], (4, 1)), atol=1e-3)


@pytest.mark.slow
def test_batch_is_a_loop():
    prior = {"w": dist.Normal(0.0, 3.0).expand([2]).to_event(1)}
    model = jl.Model(prior, lambda p, d: {"y": dist.Normal(d.x @ p.w, 0.3)})
    datasets = [line_data(seed=seed) for seed in range(3)]
    together = fit(model, jl.batch(datasets))
    for i, data in enumerate(datasets):
        alone = fit(model, jl.batch([data, data]), restarts=1).positions[0]
        np.testing.assert_allclose(together.positions[i], alone, atol=2e-5)


@pytest.mark.slow
def test_a_broken_dataset_leaves_the_others_alone():
    """One lane's gradient is NaN from the start; the others stay bitwise the same."""
    likelihood = lambda p, d: {"y": dist.Normal(jnp.where(d.bad, jnp.nan, p.w), 1.0)}
    model = jl.Model({"w": dist.Normal(0.0, 1.0)}, likelihood)
    data = lambda bad: {"y": np.ones(3), "bad": np.array(bad)}
    posterior = lambda flags: jl.condition(model, jl.batch([data(flag) for flag in flags]))
    engine = Optimize()
    keys = jax.random.split(jax.random.key(0), (3, 1))
    start = jax.random.normal(jax.random.key(1), (3, 1, 1))

    def outcome(flags):
        batched = posterior(flags)
        states = over_lanes(engine.init, (1, 0, 0, None))(batched, keys, start, ())
        states = drive(engine, batched, keys, states, (), Stage(50, 0, 0, True), jnp.full((3, 1), 50), 50)[0]
        return over_lanes(engine.finish, (1, 0, 0))(batched, keys, states)

    broken, whole = outcome([False, True, False]), outcome([False, False, False])
    assert broken.status.ravel().tolist() == [jl.Status.CONVERGED, jl.Status.NON_FINITE, jl.Status.CONVERGED]
    np.testing.assert_array_equal(broken.outputs.positions[::2], whole.outputs.positions[::2])


@pytest.mark.slow
def test_precisions_agree():
    single = fit(LINE, line_data(), objective="mle").params
    with jax.enable_x64(True):
        double = fit(LINE, line_data(), objective="mle").params
    assert double["w"].dtype == np.float64
    np.testing.assert_allclose(single["w"], double["w"], atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{"max_iter": 0}, {"restarts": 0}, {"tol": -1.0}, {"objective": "mean"}, {"optimizer": "adam"}, {"itters": 3}],
)
def test_settings_are_checked(settings):
    with pytest.raises(jl.InputError):
        Optimize(**settings)


def test_likelihood_of_a_bare_density_is_unknown():
    with pytest.raises(jl.InputError, match="objective='map'"):
        fit(GAUSSIAN, objective="mle")


@pytest.mark.slow
def test_the_summary_gives_standard_errors_of_the_constrained_values():
    # y ~ Normal(mu, s), flat mu: se(mu) = s/sqrt(n) at the mode, se(s) = s/sqrt(2n).
    y = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    model = jl.Model(
        prior={
            "mu": dist.ImproperUniform(dist.constraints.real, (), ()),
            "s": dist.ImproperUniform(dist.constraints.positive, (), ()),
        },
        likelihood=lambda p, d: {"y": dist.Normal(p.mu, p.s).expand([400])},
    )
    table = jl.fit(model, {"y": y}, jl.Optimize(), seed=0).best().summary()
    assert np.allclose(table["value"], [y.mean(), y.std()], rtol=1e-3)
    assert np.allclose(table["se"], [y.std() / 20, y.std() / np.sqrt(800)], rtol=2e-2)


def test_equal_optimisers_are_one_and_others_are_not():
    rate = lambda peak: optax.warmup_cosine_decay_schedule(0.0, peak, 10, 100)
    for one, same, other in (
        (optax.adam(1e-3), optax.adam(1e-3), optax.adam(1e-2)),
        (optax.chain(optax.clip(1.0), optax.sgd(0.1)), optax.chain(optax.clip(1.0), optax.sgd(0.1)), optax.sgd(0.1)),
        (optax.adam(rate(0.1)), optax.adam(rate(0.1)), optax.adam(rate(0.2))),
        (optax.adam(1e-3, b1=0.9), optax.adam(1e-3, b1=0.9), optax.adam(1e-3, b1=0.8)),
        (optax.adamw(1e-3), optax.adamw(1e-3), optax.adam(1e-3)),
    ):
        assert Optimize(optimizer=one) == Optimize(optimizer=same) != Optimize(optimizer=other)
        assert hash(Optimize(optimizer=one)) == hash(Optimize(optimizer=same))
