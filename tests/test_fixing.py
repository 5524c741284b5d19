"""Parameters and their entries held or tied: against least squares, against the model at the same values, and EM."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.models import emissions, hmm

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = (X @ [1.0, -2.0, 0.5] + RNG.normal(size=60)).astype(np.float32)

LINE = jl.Model(
    prior={
        "w": dist.ImproperUniform(dist.constraints.real, (), (3,)),
        "sd": dist.LogNormal(0.0, 1.0).expand([2, 2]).to_event(2),
    },
    likelihood=lambda p, d: {"y": dist.Normal(d.x @ p.w, 1.0)},
)
DATA = {"x": X, "y": Y}
SOME = jl.Masked(np.array([0.7, 0.0, 0.0]), np.array([True, False, False]))


def fitted(model):
    return jl.fit(model, DATA, jl.Optimize(), seed=0).best().params["w"]


def test_held_entries_leave_least_squares_of_the_rest():
    w = fitted(jl.fix(LINE, w=SOME))
    rest = np.linalg.lstsq(X[:, 1:], Y - 0.7 * X[:, 0], rcond=None)[0]
    np.testing.assert_allclose(w, [0.7, *rest], rtol=1e-3)


def test_tied_entries_are_least_squares_of_the_sum():
    w = fitted(jl.tie(LINE, w=[4, 1, 4]))
    both, alone = np.linalg.lstsq(np.column_stack([X[:, 0] + X[:, 2], X[:, 1]]), Y, rcond=None)[0]
    np.testing.assert_allclose(w, [both, alone, both], rtol=1e-3)


def test_densities_are_the_model_s_and_jacobians_those_of_the_free_values():
    model = jl.tie(jl.fix(LINE, w=SOME), sd=[[0, 1], [1, 2]])
    whole, part = jl.condition(LINE, DATA), jl.condition(model, DATA)
    position = jnp.array([0.3, -0.4, 0.5, -1.0, 0.2])
    assert part.dim == 2 + 3 == position.size
    params = part.constrain(position)
    assert params["w"][0] == np.asarray(0.7, jnp.result_type(float)) and params["sd"][0, 1] == params["sd"][1, 0]
    np.testing.assert_allclose(part.unconstrain(params), position, atol=1e-6)
    np.testing.assert_allclose(
        part.log_density(position, jacobian=False),
        whole.log_density(whole.unconstrain(params), jacobian=False),
        rtol=1e-6,
    )
    free = lambda z: jnp.concatenate(
        [part.constrain(z)["w"][1:], part.constrain(z)["sd"][jnp.array([0, 0, 1]), jnp.array([0, 1, 1])]]
    )
    log_det = jnp.linalg.slogdet(jax.jacobian(free)(position))[1]
    np.testing.assert_allclose(
        part.log_density(position) - part.log_density(position, jacobian=False), log_det, rtol=1e-4
    )


def test_draws_of_every_engine_keep_what_is_bound():
    model = jl.tie(jl.fix(LINE, w=SOME), sd=[[0, 1], [1, 2]])
    result = jl.fit(model, DATA, jl.Laplace(draws=50, restarts=2), seed=0)
    assert np.all(result.params["w"][..., 0] == np.asarray(0.7, jnp.result_type(float))) and np.all(
        result.params["sd"][..., 0, 1] == result.params["sd"][..., 1, 0]
    )
    assert np.unique(result.params["sd"][0, :, 0, 0]).size > 10
    prior = jl.sample_prior(jl.tie(LINE_WITH_PRIOR, w=[0, 0, 1]), DATA, 5, 0).params["w"]
    np.testing.assert_array_equal(prior[:, 0], prior[:, 1])
    assert np.all(prior[:, 0] != prior[:, 2])


LINE_WITH_PRIOR = jl.Model(prior={"w": lambda p: dist.Normal(0.0, 1.0).expand([3])}, likelihood=LINE.likelihood)


def test_a_mask_is_of_leading_axes_and_a_full_one_holds_all():
    rows = jl.Masked(np.array([[2.0, 3.0], [0.0, 0.0]]), np.array([True, False]))
    posterior = jl.condition(jl.fix(LINE, sd=rows), DATA)
    params = posterior.constrain(jnp.zeros(posterior.dim))
    assert posterior.dim == 3 + 2
    np.testing.assert_array_equal(params["sd"], [[2.0, 3.0], [1.0, 1.0]])
    assert set(jl.fix(LINE, w=jl.Masked(np.ones(3), np.ones(3, bool))).prior) == {"sd"}


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        (lambda: jl.fix(LINE, v=0.0), "an unknown parameter"),
        (lambda: jl.fix(LINE, w=np.zeros(3), sd=np.ones((2, 2))), "at least one that stays free"),
        (lambda: jl.tie(LINE, w=[0, -1, 0]), "integers from 0"),
        (lambda: jl.condition(jl.tie(LINE, w=[0, 1]), DATA), r"that of the parameter, \(3,\)"),
        (lambda: jl.condition(jl.fix(LINE, w=jl.Masked(np.zeros(2), np.arange(2) < 1)), DATA), "that of the parameter"),
        (
            lambda: jl.condition(jl.tie(hmm(2, emissions.Gaussian()), initial_probs=[0, 0]), {"y": Y}),
            "an elementwise support",
        ),
    ],
    ids=["name", "nothing left", "number", "shape to tie", "shape to hold", "simplex"],
)
def test_what_cannot_be_bound_is_told(bind, message):
    with pytest.raises(jl.InputError, match=message):
        bind()


HMM = hmm(2, emissions.LinearRegression(2, prior_scale=3.0))
TRUTH = {
    "initial_probs": np.array([0.6, 0.4]),
    "transition_matrix": np.array([[0.9, 0.1], [0.2, 0.8]]),
    "weights": np.array([[1.0, -1.0], [-1.0, 0.0]]),
    "biases": np.array([1.0, -1.0]),
    "covs": np.array([0.5, 0.5]),
}


@pytest.fixture(scope="module")
def sequences():
    x = RNG.normal(size=(3, 80, 2)).astype(np.float32)
    empty = {"y": np.zeros((3, 80), np.float32), "x": x}
    params = {name: jnp.asarray(value, jnp.float32) for name, value in TRUTH.items()}
    return {"x": x, **HMM.sample_observed(jax.random.key(3), params, jax.tree.map(jnp.asarray, empty))}


def test_closed_forms_refuse_what_they_cannot_hold_and_newton_steps_hold_it(sequences):
    half = jl.Masked(TRUTH["weights"], TRUTH["weights"] == 0.0)
    cases = {"biases": jl.fix(HMM, biases=TRUTH["biases"]), "weights": jl.tie(jl.fix(HMM, weights=half), covs=[0, 0])}
    for model in cases.values():
        with pytest.raises(jl.InputError, match="m_step='generic'"):
            jl.fit(model, sequences, jl.EM(restarts=1), seed=0)
    em = jl.fit(cases["weights"], sequences, jl.EM(restarts=1, m_step="generic", max_iter=60), seed=0, init=TRUTH)
    assert np.nanmin(np.diff(em.trace, axis=1)) > -1e-3
    best = em.best()
    assert best.params["weights"][1, 1] == 0.0 and best.params["covs"][0] == best.params["covs"][1]
    np.testing.assert_allclose(best.params["weights"], TRUTH["weights"], atol=0.35)
    assert best.criteria()["free_parameters"] == 1 + 2 + 3 + 2 + 1


@pytest.mark.parametrize("covariance", ["full", "diagonal", "spherical", "tied"])
def test_variances_about_fixed_means_leave_out_the_prior_of_the_means(covariance):
    y, middle, df, scale = RNG.normal(size=(9, 2)), np.array([[1.0, -1.0]]), 0.1, 0.3
    model = jl.models.gaussian_mixture(1, 2, covariance, scale=scale)
    best = jl.fit(jl.fix(model, means=middle), {"y": y}, jl.EM(restarts=1), seed=0).best()
    # The mode of the inverse Wishart or inverse gamma posterior, of normal observations with known means (Gelman et al. 2013, 2.6 and 3.6).
    off = y - middle
    if covariance in ("full", "tied"):
        mode = (scale * np.eye(2) + off.T @ off) / (df + 2 - 1 + len(y) + 2 + 1)
    elif covariance == "diagonal":
        mode = (scale / 2 + (off**2).sum(0) / 2) / ((df + len(y)) / 2 + 1)
    else:
        mode = (scale / 2 + (off**2).sum() / 2) / ((df + 2 * len(y)) / 2 + 1)
    np.testing.assert_allclose(np.squeeze(best.params["covs"]), mode, rtol=1e-4)
    assert best.status == jl.Status.CONVERGED


@pytest.mark.slow
def test_fixed_parameters_stay_and_the_rest_adapts(sequences):
    held = jl.fix(HMM, weights=TRUTH["weights"], biases=TRUTH["biases"])
    result = jl.fit(held, sequences, jl.EM(restarts=2), seed=0)
    free = jl.fit(HMM, sequences, jl.EM(restarts=2), seed=0)
    assert set(result.params) == {"initial_probs", "transition_matrix", "covs"}
    assert np.nanmin(np.diff(result.trace, axis=1)) > -1e-2
    assert result.best().statistics["log_likelihood"] < free.best().statistics["log_likelihood"]
    generic = jl.fit(held, sequences, jl.EM(restarts=1, m_step="generic"), seed=0, init=result)
    np.testing.assert_allclose(generic.objective, result.best().objective, rtol=1e-4)
    assert held == jl.fix(HMM, weights=TRUTH["weights"], biases=TRUTH["biases"]) != HMM
