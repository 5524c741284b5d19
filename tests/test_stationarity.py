"""CONVERGED is a promise: where a lane says so, nothing is left to gain, and where something is, it says that."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from often import often

import jaxlatent as jl
from jaxlatent.data.namespace import Namespace
from jaxlatent.engines.optimize.stationarity import predicted_gain
from jaxlatent.models import emissions, hmm, mixture


@pytest.mark.parametrize("dim", [1, 3, 12])
def test_on_a_quadratic_the_promise_is_what_a_newton_step_gains(dim, x64):
    rng = np.random.default_rng(dim)
    root, top, at = rng.normal(size=(dim, dim + 2)), rng.normal(size=dim), rng.normal(size=dim)
    curvature = root @ root.T + 0.1 * np.eye(dim)
    height = lambda z: -0.5 * (z - top) @ curvature @ (z - top)
    np.testing.assert_allclose(predicted_gain(height, jnp.asarray(at)), -height(at), rtol=1e-6)
    assert predicted_gain(height, jnp.asarray(top)) == 0


def test_nothing_is_promised_where_the_curvature_tells_nothing():
    assert predicted_gain(lambda z: jnp.sum(z), jnp.zeros(3)) == 0
    assert predicted_gain(lambda z: jnp.sum(jnp.sqrt(z)), -jnp.ones(3)) == 0


def line(m_step):
    """Two lines by hand, whose closed form may be wrong."""
    model = mixture(2, emissions.LinearRegression(1))
    return jl.Model(model.prior, model.likelihood, start=model.start, m_step=m_step(dict(model.m_step)))


def lines(rng, n=200):
    x = rng.normal(size=n)
    return {"x": x[:, None], "y": np.where(rng.random(n) < 0.5, 2 * x, 1 - x) + 0.1 * rng.normal(size=n)}


def test_an_m_step_that_refuses_every_step_has_not_converged():
    """As the M-step of regressions did that gave up on inputs in calendar years."""

    def stuck(updates):
        updates["weights", "biases"] = lambda p, d, expected: (p.weights, p.biases)
        return updates

    data = lines(np.random.default_rng(0))
    result = jl.fit(line(stuck), data, jl.EM(restarts=3), seed=0)
    assert (result.status == jl.Status.STALLED).all(), result.status
    assert "stalled" in result.check().illnesses and "not a maximum" in str(result.check()).replace("\n  ", " ")
    right = jl.fit(line(lambda updates: updates), data, jl.EM(restarts=3), seed=0)
    assert (right.status == jl.Status.CONVERGED).all(), right.status


SEPARABLE = {
    "logistic": (emissions.BernoulliRegression, lambda x: x > 0),
    "Poisson": (emissions.PoissonRegression, lambda x: np.zeros_like(x)),
}


@pytest.mark.parametrize("name", often(SEPARABLE, {"logistic"}))
def test_separated_observations_are_named_and_the_default_prior_keeps_weights_finite(name):
    family, outcome = SEPARABLE[name]
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-2, -0.5, 60), rng.uniform(0.5, 2, 60)])
    data = {"x": x[:, None], "y": outcome(x).astype(int)}
    flat = jl.fit(mixture(1, family(1, prior_scale=None)), data, jl.EM(restarts=2), seed=0)
    assert (flat.status == jl.Status.DEGENERATE).all(), flat.status
    assert "separate" in str(flat.check())
    weak = jl.fit(mixture(1, family(1)), data, jl.EM(restarts=2), seed=0)
    assert (weak.status == jl.Status.CONVERGED).all(), weak.status
    assert np.abs(weak.params["weights"]).max() < 4 * 5 / x.std()
    assert "separation" in weak.check().illnesses and "component 0" in str(weak.check())


def test_what_inputs_foretell_well_but_not_surely_is_not_called_separated():
    rng = np.random.default_rng(6)
    x = rng.normal(size=200)
    y = (rng.random(200) < 1 / (1 + np.exp(-4 * x))).astype(int)
    result = jl.fit(mixture(1, emissions.BernoulliRegression(1)), {"x": x[:, None], "y": y}, jl.EM(restarts=2), seed=0)
    assert (result.status == jl.Status.CONVERGED).all() and not result.check()


def test_inputs_that_say_the_same_share_the_effect(x64):
    rng = np.random.default_rng(2)
    x = rng.normal(size=300)
    data = {"x": np.column_stack([x, 3 * x]), "y": 2 * x + 0.1 * rng.normal(size=300)}
    best = jl.fit(mixture(1, emissions.LinearRegression(2)), data, jl.EM(restarts=2), seed=0).best()
    assert "duplicate predictor" in best.check().illnesses and "x[:, 1]" in str(best.check())
    # One standard deviation of each is worth the same under the default prior.
    np.testing.assert_allclose(best.params["weights"], [[1.0, 1.0 / 3]], rtol=1e-3)


def test_a_component_that_shrank_onto_a_few_values_is_named():
    y = np.concatenate([np.random.default_rng(7).normal(size=60), [9.0, 9.0, 9.0001]])
    result = jl.fit(jl.models.gaussian_mixture(2, None), {"y": y}, jl.EM(restarts=5), seed=0)
    assert "tiny component" in result.check().illnesses and "3.0 of the 63" in str(result.check())


def test_components_of_several_families_have_a_status_too():
    def likelihood(p, d):
        zeros = dist.Normal(jnp.zeros(d.y.shape), 0.1)
        weights = dist.Categorical(jnp.broadcast_to(jnp.stack([p.share, 1 - p.share]), (*d.y.shape, 2)))
        return {"y": dist.MixtureGeneral(weights, [zeros, dist.StudentT(3.0, jnp.broadcast_to(p.mu, d.y.shape))])}

    model = jl.Model({"share": dist.Beta(2.0, 2.0), "mu": dist.Normal(0.0, 5.0)}, likelihood)
    y = np.concatenate([0.1 * np.random.default_rng(8).normal(size=40), np.random.default_rng(9).normal(4.0, 1.0, 60)])
    result = jl.fit(model, {"y": y}, jl.EM(restarts=2), seed=0)
    assert (result.status == jl.Status.CONVERGED).all() and not result.check(), (result.status, result.check())
    np.testing.assert_allclose(result.params["share"], 0.4, atol=0.02)


SHAPES = {
    "numbers for vectors": (hmm(2, emissions.Gaussian(2)), {"y": np.arange(8.0)}, r"data 'y'[\s\S]*\(\.\.\., 2\)"),
    "inputs without their axis": (
        hmm(2, emissions.LinearRegression(1)),
        {"y": np.arange(8.0), "x": np.arange(8.0)},
        r"data 'x'[\s\S]*x\[\.\.\., None\]",
    ),
    "inputs of transitions without their axis": (
        hmm(2, emissions.Gaussian(), jl.models.InputDriven(1)),
        {"y": np.arange(8.0), "u": np.arange(8.0)},
        r"data 'u'[\s\S]*u\[\.\.\., None\]",
    ),
    "labels that count from one": (
        hmm(2, emissions.Categorical(3)),
        {"y": np.array([1, 2, 3, 1])},
        r"1 of 4 values outside the support, the first at index \(2,\): 3",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_data_that_do_not_go_with_a_family_are_named(name):
    model, data, message = SHAPES[name]
    with pytest.raises(jl.InputError, match=message):
        jl.fit(model, data, jl.EM(restarts=1), seed=0)


def test_an_autoregression_is_a_regression_on_what_was_seen_before():
    rng = np.random.default_rng(3)
    y, seen = np.cumsum(rng.normal(size=(3, 40)), 1), rng.random((3, 40)) < 0.9
    lagged = lambda values: np.stack([np.pad(values, ((0, 0), (lag, 0)))[:, :40] for lag in (1, 2)], -1)
    known = lagged(seen).all(-1) & seen
    part, plain = emissions.Autoregression(2, prior_scale=3.0), emissions.LinearRegression(2, prior_scale=3.0)
    truth = {"weights": jnp.array([[0.5, 0.2], [-0.5, 0.1]]), "biases": jnp.array([0.0, 1.0]), "covs": jnp.ones(2)}
    truth |= {"initial_probs": jnp.array([0.6, 0.4]), "transition_matrix": jnp.array([[0.9, 0.1], [0.2, 0.8]])}
    ours = jl.condition(hmm(2, part), {"y": jl.Masked(y, seen)})
    theirs = jl.condition(hmm(2, plain), {"y": jl.Masked(y, known), "x": lagged(y)})
    term = lambda posterior: posterior.density.log_likelihood(truth, posterior.data)["y"]
    # A gap says nothing; past its end a sequence has no steps.
    inside = np.maximum.accumulate(seen[:, ::-1], 1)[:, ::-1] == np.maximum.accumulate(known[:, ::-1], 1)[:, ::-1]
    assert inside.all(), "every sequence ends with a step that both know"
    np.testing.assert_allclose(term(ours), term(theirs), rtol=2e-5)


def test_normals_far_from_the_origin_are_those_at_the_origin():
    rng = np.random.default_rng(4)
    points, far = np.float32(rng.normal(size=(50, 2))), np.float32(2.0**14)
    # Shifts that 32 bits hold exactly.
    points = np.round(points * 64) / 64
    params = {
        "means": np.array([[0.0, 1.0], [1.0, -1.0]], np.float32),
        "covs": np.tile(np.eye(2, dtype=np.float32), (2, 1, 1)),
    }
    part = emissions.Gaussian(2)
    d = lambda shift: part.distribution(
        Namespace("parameter", params | {"means": params["means"] + shift}), Namespace("data", {})
    )
    near, away = d(0.0).by_component(points), d(far).by_component(points + far)
    np.testing.assert_allclose(away, near, atol=1e-5)


def test_the_status_is_judged_in_64_bits_too(x64):
    data = lines(np.random.default_rng(5))
    assert jl.fit(line(lambda updates: updates), data, jl.EM(restarts=1), seed=0).status == jl.Status.CONVERGED
