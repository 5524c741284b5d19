"""What a fit says about hidden states, against the core and against enumeration."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import jaxlatent as jl
from jaxlatent.latent import markov
from jaxlatent.models import emissions, gaussian_mixture, hmm

smooth, most_likely_states, log_normalizer = (
    jax.jit(f) for f in (markov.smooth, markov.most_likely_states, markov.log_normalizer)
)
MODEL = hmm(2, emissions.Gaussian())
RNG = np.random.default_rng(0)
Y = [RNG.normal(RNG.integers(0, 2, n) * 4.0, 1.0).astype(np.float32) for n in (40, 25)]


@pytest.fixture(scope="module")
def em():
    return jl.fit(MODEL, {"y": Y}, jl.EM(restarts=3), seed=0)


def chain(result, y):
    """The arguments of the core for one sequence at the best parameters."""
    p = result.best().params
    likelihoods = stats.norm(p["means"], np.sqrt(p["covs"])).logpdf(y[:, None])
    return tuple(jnp.asarray(x, jnp.float32) for x in (p["initial_probs"], p["transition_matrix"], likelihoods))


def test_states_agree_with_the_core(em):
    best = em.best()
    smoothed, path = best.smooth()["y"], best.most_likely_states()["y"]
    for i, y in enumerate(Y):
        np.testing.assert_allclose(smoothed[i, : len(y)], smooth(*chain(em, y)).probs, atol=1e-5)
        np.testing.assert_array_equal(path[i, : len(y)], most_likely_states(*chain(em, y))[0])
    assert (path[1, 25:] == -1).all() and not smoothed[1, 25:].any()
    assert em.smooth()["y"].shape == (3, 2, 40, 2) and em.most_likely_states()["y"].shape == (3, 2, 40)


def test_other_data_can_be_decoded(em):
    other = em.best().smooth({"y": Y[1]})["y"]
    np.testing.assert_allclose(other, em.best().smooth()["y"][1, :25], atol=1e-5)


def test_drawn_states_come_as_often_as_their_paths_are_probable():
    """All paths of two sequences, of four steps and of two, enumerated in NumPy; the two are drawn independently."""
    initial, matrix, means = np.array([0.6, 0.4]), np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([-0.5, 0.5])
    likelihood = lambda p, d: {
        "y": jl.HiddenMarkov(jnp.asarray(initial), jnp.asarray(matrix), dist.Normal(p.shift + means, 1.0))
    }
    # What is known of the parameter leaves the paths' probabilities alone to a ten thousandth.
    model = jl.Model({"shift": dist.Normal(0.0, 1e-4)}, likelihood)
    y = [np.array([0.3, -0.4, 0.6, 0.1], np.float32), np.array([0.2, -0.1], np.float32)]
    draws = 4000
    drawn = jl.fit(model, {"y": y}, jl.Laplace(draws=draws), seed=0).sample_states(seed=1)["y"].reshape(draws, 2, 4)
    assert (drawn[:, 1, 2:] == -1).all()

    def exact(y):
        paths = np.array(list(product(range(2), repeat=len(y))))
        seen = stats.norm(means[paths], 1.0).pdf(y).prod(1)
        joint = initial[paths[:, 0]] * matrix[paths[:, :-1], paths[:, 1:]].prod(1) * seen
        return joint / joint.sum()

    together = np.outer(exact(y[0]), exact(y[1])).ravel()
    counts = np.bincount(np.c_[drawn[:, 0], drawn[:, 1, :2]] @ 2 ** np.arange(6)[::-1], minlength=64)
    # 64 paths at five standard errors, and one more for the skewness of small counts.
    assert (np.abs(counts - draws * together) < 5 * np.sqrt(draws * together * (1 - together)) + 1).all()


def test_scores_are_nats_per_observed_value(em):
    total = sum(log_normalizer(*chain(em, y)) for y in Y)
    np.testing.assert_allclose(em.best().score(), total / 65, rtol=1e-5)
    np.testing.assert_allclose(em.best().score({"y": Y[0]}), log_normalizer(*chain(em, Y[0])) / 40, rtol=1e-5)


def test_criteria_count_the_free_parameters(em):
    found, best = em.criteria(), em.best()
    total = float(best.score()) * 65
    assert (found["free_parameters"] == 1 + 2 + 2 + 2).all()
    np.testing.assert_allclose(best.criteria()["aic"], -2 * total + 14, rtol=1e-5)
    np.testing.assert_allclose(best.criteria()["bic"], -2 * total + 7 * np.log(65), rtol=1e-5)
    path = sum(most_likely_states(*chain(em, y))[1] for y in Y)
    np.testing.assert_allclose(best.criteria()["icl"], -2 * path + 7 * np.log(65), rtol=1e-5)


@pytest.mark.slow
def test_criteria_of_a_mixture_agree_with_scikit_learn():
    from sklearn.mixture import GaussianMixture

    y = np.concatenate([RNG.normal(-3, 1, (80, 2)), RNG.normal(3, 1, (60, 2))]).astype(np.float32)
    ours = jl.fit(gaussian_mixture(2, 2), {"y": y}, jl.EM(restarts=2), seed=0).best()
    theirs = GaussianMixture(2, random_state=0).fit(y)
    # Ours is not quite the maximum of the likelihood: weak priors.
    np.testing.assert_allclose(ours.criteria()["bic"], theirs.bic(y), rtol=2e-3)
    np.testing.assert_allclose(ours.criteria()["aic"], theirs.aic(y), rtol=2e-3)
    assert ours.criteria()["icl"] >= ours.criteria()["bic"]
    shares = ours.smooth()["y"][:, np.argsort(ours.params["means"][:, 0])]
    np.testing.assert_allclose(shares, theirs.predict_proba(y)[:, np.argsort(theirs.means_[:, 0])], atol=0.02)


def test_forecasts_start_from_the_last_state_and_forget_it():
    model = jl.Model(
        {"stay": dist.Beta(2.0, 2.0)},
        lambda p, d: {
            "y": jl.HiddenMarkov(
                jnp.ones(2) / 2,
                jnp.array([[p.stay, 1 - p.stay], [1 - p.stay, p.stay]]),
                dist.Normal(jnp.array([-5.0, 5.0]), 0.5),
            )
        },
    )
    y = np.array([-5.0, -5.0, 5.0], np.float32)
    draws = jl.fit(model, {"y": y}, jl.NUTS(chains=2, warmup=200, draws=2000), seed=0)
    ahead = draws.forecast(2, seed=1)["y"]
    assert ahead.shape == (2, 2000, 2)
    up = (ahead > 0).mean((0, 1))
    stay = draws.params["stay"]
    error = 5 * np.sqrt(0.25 / 1000)
    np.testing.assert_allclose(up[0], stay.mean(), atol=error)
    np.testing.assert_allclose(up[1], (stay**2 + (1 - stay) ** 2).mean(), atol=error)


def test_what_hides_nothing_says_so():
    model = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand([3])})
    fit = jl.fit(model, {"y": np.zeros(3)}, jl.Optimize(), seed=0)
    for ask in (fit.smooth, fit.most_likely_states, lambda: fit.forecast(3, 0), lambda: fit.sample_states(0)):
        with pytest.raises(jl.InputError, match="without latent labels"):
            ask()
    assert set(fit.criteria()) == {"aic", "bic", "free_parameters"}
    with pytest.raises(jl.InputError, match="point fit"):
        jl.fit(model, {"y": np.zeros(3)}, jl.Laplace(draws=50), seed=0).criteria()


@pytest.mark.slow
def test_draws_lead_with_chain_and_draw(em):
    draws = jl.fit(MODEL, {"y": Y}, jl.NUTS(chains=2, warmup=10, draws=5), seed=0, init=em)
    assert draws.smooth()["y"].shape == (2, 5, 2, 40, 2) and draws.forecast(4, 0)["y"].shape == (2, 5, 2, 4)
    assert draws.score().shape == (2, 5) and jax.tree.leaves(draws.sample_states(0))[0].shape == (2, 5, 2, 40)


@pytest.mark.parametrize(
    "steps", [pytest.param(4, id="as many steps as sequences"), pytest.param(10, id="more", marks=pytest.mark.slow)]
)
def test_a_mask_of_sequences_is_that_of_their_steps(steps):
    """`Masked` has the mask of leading axes; it was read as one of steps, in silence where there are as many sequences as steps."""
    y = np.random.default_rng(0).normal(size=(4, steps)) + 3 * (np.arange(4)[:, None] % 2)
    kept = np.array([True, True, False, True])
    model, engine = jl.models.hmm(2, jl.models.emissions.Gaussian()), jl.EM(restarts=2, max_iter=20)
    fits = [
        jl.fit(model, {"y": jl.Masked(y, mask)}, engine, 0).best()
        for mask in (kept, np.repeat(kept[:, None], steps, 1))
    ]
    fits.append(jl.fit(model, {"y": y[kept]}, engine, 0).best())
    short, whole, left = fits
    for one in (short, whole):
        np.testing.assert_allclose(one.objective, left.objective, rtol=1e-5)
        np.testing.assert_allclose(one.params["means"], left.params["means"], rtol=1e-3)
        for name, value in left.criteria().items():
            np.testing.assert_allclose(one.criteria()[name], value, rtol=1e-5)
        assert (one.most_likely_states()["y"][kept] == left.most_likely_states()["y"]).all()
        assert (one.most_likely_states()["y"][~kept] == -1).all()
        np.testing.assert_allclose(one.smooth()["y"][kept], left.smooth()["y"], atol=1e-3)
    draws = [
        jl.fit(model, {"y": jl.Masked(y, mask)}, jl.Optimize(max_iter=3), 0).objective
        for mask in (kept, np.repeat(kept[:, None], steps, 1))
    ]
    np.testing.assert_allclose(*draws, rtol=1e-5)


@pytest.mark.parametrize("narrow", range(3), ids=["initial", "transitions", "means"])
def test_constants_of_32_bits_serve_a_model_under_64(x64, narrow):
    values = [np.array([0.25, 0.75]), np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([-1.0, 1.5])]
    y = jnp.array([0.5, -1.25, 2.0, 1.0])

    def log_prob(initial, transitions, means):
        return jl.HiddenMarkov(initial, transitions, dist.Normal(means, 1.0)).log_prob(y)

    given = [jnp.asarray(value, jnp.float32 if i == narrow else jnp.float64) for i, value in enumerate(values)]
    exact = log_prob(*map(jnp.asarray, values))
    np.testing.assert_allclose(log_prob(*given), exact, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(log_prob)(*given), jax.grad(log_prob)(*map(jnp.asarray, values)), rtol=1e-6)
    model = jl.HiddenMarkov(*given[:2], dist.Normal(given[2], 1.0))
    assert np.allclose(model.smooth(y).probs.sum(-1), 1.0) and model.most_likely_states(y)[0].shape == (4,)
    assert model.sample_states(jax.random.key(0), y).shape == (4,)
