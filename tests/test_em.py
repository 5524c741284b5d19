"""Laws of expectation-maximisation as an engine; its families have their own (`test_models.py`, `test_em_peers.py`)."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.engines.optimize.newton import damped_newton, solve
from jaxlatent.execute import chunks, drive
from jaxlatent.latent import expect, expected_log_prob
from jaxlatent.models import emissions, gaussian_mixture, hmm

TRUTH = jl.HiddenMarkov(
    jnp.ones(3) / 3, 0.7 * jnp.eye(3) + 0.1, dist.Normal(jnp.array([-3.0, 0.0, 4.0]), 0.8), shape=(3, 100)
)
Y = np.asarray(jax.jit(TRUTH.sample)(jax.random.key(0)))
FAMILY = hmm(3, emissions.Gaussian())
#: The same chain, declared by hand: no closed form, other coordinates.
BY_HAND = jl.Model(
    {
        "pi": dist.Dirichlet(jnp.full(3, 2.0)),
        "matrix": dist.Dirichlet(jnp.full((3, 3), 2.0)).to_event(1),
        "means": jl.ordered(dist.Normal(0.0, 5.0).expand([3])),
        "sds": dist.HalfNormal(2.0).expand([3]),
    },
    lambda p, d: {"y": jl.HiddenMarkov(p.pi, p.matrix, dist.Normal(p.means, p.sds))},
)
GOOD = {
    "pi": np.ones(3) / 3,
    "matrix": np.asarray(0.7 * jnp.eye(3) + 0.1),
    "means": np.array([-2.0, 0.5, 3.0]),
    "sds": np.ones(3),
}


@pytest.fixture(scope="module")
def by_hand():
    return jl.fit(BY_HAND, {"y": Y}, jl.EM(restarts=2, tol=1e-7), seed=0, init=GOOD)


def test_em_and_gradients_climb_the_same_hill(by_hand):
    other = jl.fit(BY_HAND, {"y": Y}, jl.Optimize(standard_errors=False), seed=0, init=GOOD)
    np.testing.assert_allclose(by_hand.objective, other.objective[0], rtol=1e-5)
    for name, value in by_hand.best().params.items():
        np.testing.assert_allclose(value, other.params[name][0], atol=0.02)


def test_every_iteration_climbs(by_hand):
    assert (by_hand.status == jl.Status.CONVERGED).all()
    assert np.nanmin(np.diff(by_hand.trace, axis=1)) > -1e-3
    assert (by_hand.trace[:, 0] < by_hand.objective - 1).all()
    np.testing.assert_allclose(np.nanmax(by_hand.trace, 1), by_hand.objective, rtol=1e-5)
    parts = by_hand.statistics["log_likelihood"] + by_hand.statistics["log_prior"]
    np.testing.assert_allclose(by_hand.objective, parts, rtol=1e-6)


@pytest.mark.slow
def test_acceleration_reaches_the_same_place_sooner(by_hand):
    fast = jl.fit(BY_HAND, {"y": Y}, jl.EM(restarts=2, tol=1e-7, accelerate=True), seed=0, init=GOOD)
    np.testing.assert_allclose(fast.objective, by_hand.objective, rtol=1e-5)
    assert (fast.statistics["n_steps"] <= by_hand.statistics["n_steps"]).all()
    assert np.nanmin(np.diff(fast.trace, axis=1)) > -1e-3


@pytest.mark.slow
def test_a_generic_m_step_reaches_what_the_closed_form_does():
    start = {
        "initial_probs": GOOD["pi"],
        "transition_matrix": GOOD["matrix"],
        "means": GOOD["means"],
        "covs": GOOD["sds"],
    }
    closed, generic = (
        jl.fit(FAMILY, {"y": Y}, jl.EM(restarts=1, tol=1e-7, m_step=how), seed=0, init=start)
        for how in ("auto", "generic")
    )
    np.testing.assert_allclose(closed.objective, generic.objective, rtol=1e-4)
    np.testing.assert_allclose(closed.params["means"], generic.params["means"], atol=0.02)


@pytest.fixture(scope="module")
def one():
    return jl.fit(FAMILY, {"y": Y}, jl.EM(restarts=3, max_iter=20, tol=0.0), seed=0)


def test_a_batch_equals_a_loop_and_lanes_are_alone(one):
    many = jl.fit(FAMILY, jl.batch([{"y": Y}, {"y": Y[:, ::-1]}]), one.engine, seed=0)
    np.testing.assert_allclose(many.objective[0], one.objective, rtol=1e-4)
    np.testing.assert_allclose(many[0].trace[:, :5], one.trace[:, :5], rtol=1e-4)


def test_lanes_that_take_turns_change_nothing(one, monkeypatch):
    sizes = []
    choose = drive.chunk_size
    monkeypatch.setattr(drive, "chunk_size", lambda *arguments: sizes.append(choose(*arguments)) or sizes[-1])
    monkeypatch.setattr(chunks, "_BUDGET", 1)  # nothing fits: one lane at a time
    alone = jl.fit(FAMILY, {"y": Y}, jl.EM(restarts=3, max_iter=8, tol=0.0), seed=0)
    assert set(sizes) == {(1, 1)}
    np.testing.assert_allclose(alone.trace, one.trace[:, :8], rtol=1e-5)


def test_hard_assignment_is_k_means():
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(m, 1, (60, 2)) for m in (-3, 0, 3)]).astype(np.float32)
    model = gaussian_mixture(3, 2, "spherical", mean_concentration=1e-9)
    result = jl.fit(model, {"y": y}, jl.EM(restarts=5, e_step="hard", tol=0.0, max_iter=30), seed=0).best()
    theirs = KMeans(3, n_init=5, random_state=0).fit(y)
    ours = result.params["means"][np.argsort(result.params["means"][:, 0])]
    # Spherical variances and weights of their own move a few borderline points.
    np.testing.assert_allclose(ours, theirs.cluster_centers_[np.argsort(theirs.cluster_centers_[:, 0])], atol=0.15)


@pytest.mark.slow
def test_monte_carlo_em_comes_near_exact_em():
    exact = jl.fit(FAMILY, {"y": Y}, jl.EM(restarts=1), seed=0)
    drawn = jl.fit(FAMILY, {"y": Y}, jl.EM(restarts=1, e_step="draw", draws=20, max_iter=40), seed=0)
    assert exact.objective[0] + 1e-2 > drawn.objective[0] > exact.objective[0] - 3


def test_expected_counts_of_draws_average_to_the_exact_ones():
    d = jl.HiddenMarkov(TRUTH.initial_probs, TRUTH.transition_matrix, dist.Normal(jnp.array([-1.0, 0.0, 1.0]), 2.0))
    exact, drawn, hard = jax.jit(
        lambda y: (expect(d, y), expect(d, y, "draw", jax.random.key(1), 4000), expect(d, y, "hard"))
    )(Y[0])
    error = 5 * np.sqrt(0.25 / 4000)
    np.testing.assert_allclose(drawn.weights, exact.weights, atol=error)
    np.testing.assert_allclose(drawn.transitions / 99, exact.transitions / 99, atol=error)
    assert hard.weights.max(-1).min() == 1


def test_the_gradient_of_q_is_that_of_the_likelihood():
    """Fisher's identity, at the parameters of the E-step."""

    def d(means):
        return jl.HiddenMarkov(TRUTH.initial_probs, TRUTH.transition_matrix, dist.Normal(means, 0.8))

    means = jnp.array([-2.0, 0.3, 3.0])

    @jax.jit
    def slopes(means):
        expected = expect(d(means), Y)
        ours = jax.grad(lambda m: expected_log_prob(d(m), Y, expected))(means)
        return ours, jax.grad(lambda m: d(m).log_prob(Y).sum())(means)

    np.testing.assert_allclose(*slopes(means), rtol=2e-3)


def test_restarts_that_break_or_empty_a_component_are_told_apart():
    y = np.array([0.0, 0.1, 0.05, 5.0, 5.1, 5.05], np.float32)
    model = gaussian_mixture(2, None)
    start = {
        "mixture_weights": np.array([[0.5, 0.5], [1.0 - 1e-7, 1e-7]]),
        "means": np.array([[0.0, 5.0], [2.5, 1e4]]),
        "covs": np.array([[1.0, 1.0], [9.0, 1e-3]]),
    }
    result = jl.fit(model, {"y": y}, jl.EM(restarts=2), seed=0, init=start)
    assert result.status.tolist() == [jl.Status.CONVERGED, jl.Status.DEGENERATE]
    np.testing.assert_allclose(np.sort(result.best().params["means"]), [0.05, 5.05], atol=1e-3)


def test_an_m_step_that_goes_downhill_is_found_out():
    """One given by hand that walks away from the data."""

    def likelihood(p, d):
        parts = dist.Normal(p.mean + jnp.array([0.0, 4.0]), 1.0)
        return {"y": dist.MixtureSameFamily(dist.Categorical(jnp.ones(2) / 2), parts).expand([6])}

    wrong = {"mean": lambda p, d, expected: p.mean + 1.0}
    model = jl.Model({"mean": dist.Normal(0.0, 10.0)}, likelihood, m_step=wrong)
    y = np.array([0.0, 0.1, 0.2, 4.0, 4.1, 4.2], np.float32)
    result = jl.fit(model, {"y": y}, jl.EM(restarts=2), seed=0, init={"mean": np.array([-3.0, 0.0])})
    assert result.status.tolist() == [jl.Status.DECREASED] * 2
    np.testing.assert_allclose(result.statistics["n_steps"], [5, 2])


#: One evaluation, at the start.
LOOK = jl.Optimize(max_iter=1, standard_errors=False)


@pytest.mark.filterwarnings("ignore")  # it did not converge
def test_another_engine_starts_where_em_ended(one):
    """At its best lane, which is not the first: there the states are alike, and stay so."""
    good = [GOOD[name] for name in ("pi", "matrix", "means", "sds")]
    alike = [np.ones(3) / 3, np.ones((3, 3)) / 3, np.zeros(3), np.ones(3)]
    names = ("initial_probs", "transition_matrix", "means", "covs")
    init = {name: np.stack(lanes) for name, *lanes in zip(names, alike, good, alike, strict=True)}
    em = jl.fit(FAMILY, {"y": Y}, one.engine, seed=0, init=init)
    assert em.objective[1] > em.objective[[0, 2]].max() + 1
    start = jl.fit(FAMILY, {"y": Y}, LOOK, seed=0, init=em)
    np.testing.assert_allclose(start.objective, em.objective[[1]], rtol=1e-5)
    for name, value in em.best().params.items():
        np.testing.assert_allclose(start.params[name][0], value, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_parameters_on_the_border_are_kept_and_can_still_be_started_from():
    flat = hmm(2, emissions.Categorical(3, concentration=1.0))
    y = np.array([[0, 0, 1, 1, 0, 1] * 5])  # class 2 never happens: its probability is as good as zero
    em = jl.fit(flat, {"y": y}, jl.EM(restarts=2), seed=0)
    assert (em.best().params["probs"][:, 2] < 1e-30).all() and np.isfinite(em.objective).all()
    start = jl.fit(flat, {"y": y}, LOOK, seed=0, init=em)
    np.testing.assert_allclose(start.params["probs"][0], em.best().params["probs"], atol=1e-3)
    draws = jl.fit(flat, {"y": y}, jl.NUTS(chains=2, warmup=10, draws=5), seed=0, init=em)
    assert np.isfinite(draws.statistics["lp"]).all()


def test_a_model_that_hides_nothing_is_sent_elsewhere():
    model = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand([3])})
    with pytest.raises(jl.InputError, match="without latent labels"):
        jl.fit(model, {"y": np.zeros(3)}, jl.EM(), seed=0)


@pytest.mark.parametrize(
    "setting", [{"restarts": 0}, {"tol": -1.0}, {"e_step": "soft"}, {"m_step": "closed"}, {"draws": 0}, {"restart": 1}]
)
def test_wrong_settings_are_named(setting):
    with pytest.raises(jl.InputError, match=next(iter(setting))):
        jl.EM(**setting)


def test_solving_is_linear_algebra():
    solved = jax.jit(solve)
    rng = np.random.default_rng(0)
    root = rng.normal(size=(7, 7))
    right = rng.normal(size=7)
    ours = solved(jnp.asarray(root @ root.T, jnp.float32), jnp.asarray(right, jnp.float32))
    np.testing.assert_allclose(ours, np.linalg.solve(root @ root.T, right), rtol=2e-2)
    np.testing.assert_allclose(
        solved(np.diag(np.array([2.0, -4.0], np.float32)), np.ones(2, np.float32)), [0.5, 0.25], rtol=1e-6
    )
    # Variables in units of their own.
    units = 10.0 ** np.arange(-3, 4)
    scaled = solved(
        jnp.asarray(root @ root.T * np.outer(units, units), jnp.float32), jnp.asarray(right * units, jnp.float32)
    )
    np.testing.assert_allclose(scaled * units, ours, rtol=1e-3)


def test_climbing_finds_the_top_and_never_falls():
    climbed = jax.jit(damped_newton, static_argnums=(0, 2))
    bowl = lambda x: -jnp.sum((x - jnp.arange(3.0)) ** 2 * jnp.array([1.0, 10.0, 100.0]))
    np.testing.assert_allclose(climbed(bowl, np.zeros(3, np.float32), 1), [0, 1, 2], atol=1e-4)
    saddle = lambda x: x[0] ** 2 - x[0] ** 4 - x[1] ** 2
    start = np.array([0.1, 1.0], np.float32)
    top = climbed(saddle, start, 20)
    np.testing.assert_allclose(abs(top[0]), np.sqrt(0.5), atol=1e-3)
    cliff = lambda x: jnp.where(x[0] > 0.5, jnp.nan, x[0])
    assert 0 < climbed(cliff, np.zeros(1, np.float32), 5)[0] <= 0.5


def test_standard_errors_are_those_of_an_optimiser_at_the_same_point():
    data = {"y": [Y[0], Y[1, :80], Y[2, :50]]}
    em = jl.fit(FAMILY, jl.batch([data, data]), jl.EM(restarts=3, tol=1e-7), seed=0).best()
    start = {name: value[1] for name, value in em.params.items()}
    searched = jl.fit(FAMILY, data, jl.Optimize(), seed=0, init=start).best().standard_errors()
    ours = em.standard_errors()
    assert set(ours) == set(em.params)
    for name, errors in ours.items():
        np.testing.assert_allclose(errors[1], searched[name], rtol=0.02, err_msg=name)
    np.testing.assert_allclose(np.sort(ours["means"][0]), np.sort(ours["means"][1]), rtol=1e-2)  # in other labels
    np.testing.assert_allclose(ours["means"][0], 0.8 / np.sqrt(230 / 3), rtol=0.5)  # labels are nearly known
