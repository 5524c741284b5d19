"""`Model.sample`: observations with their hidden states, against closed forms and hmmlearn."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from hmmlearn.hmm import GaussianHMM

import jaxlatent as jl
from jaxlatent.models import emissions, hmm

INITIAL, MATRIX = np.array([0.2, 0.5, 0.3]), np.array([[0.8, 0.15, 0.05], [0.1, 0.6, 0.3], [0.3, 0.0, 0.7]])
MEANS, COVS = np.array([[-2.0, 0.0], [0.0, 3.0], [1.0, -1.0]]), np.array([[[1.0, 0.5], [0.5, 1.0]]] * 3)
MODEL = hmm(3, emissions.Gaussian(2))
PARAMS = {"initial_probs": INITIAL, "transition_matrix": MATRIX, "means": MEANS, "covs": COVS}
CHAIN = {"initial_probs": np.array([0.5, 0.5]), "transition_matrix": np.array([[0.9, 0.1], [0.2, 0.8]])}
RNG = np.random.default_rng(0)
#: Standard errors that a figure may be off: one in two million, and no test looks at more than a hundred.
FAR = 5.0


def close(count, total, probability):
    """Counts of ``total`` trials as binomials of these probabilities have them."""
    total, probability = np.asarray(total, float), np.asarray(probability, float)
    far = FAR * np.sqrt(total * probability * (1 - probability)) + (probability > 0)
    assert (np.abs(count - total * probability) <= far).all(), (count, total * probability)


def pairs_of(path):
    return np.array([[np.sum((path[..., :-1] == i) & (path[..., 1:] == j)) for j in range(3)] for i in range(3)])


@pytest.fixture(scope="module")
def sampled():
    data, states = MODEL.sample([20] * 1000, seed=0, params=PARAMS)
    return np.stack(data["y"]), np.stack(states["y"])


def test_paths_start_and_go_on_as_often_as_the_probabilities_say(sampled):
    _, path = sampled
    close(np.bincount(path[:, 0], minlength=3), len(path), INITIAL)
    counts = pairs_of(path)
    close(counts, counts.sum(1, keepdims=True), MATRIX)
    late = INITIAL @ np.linalg.matrix_power(MATRIX, 19)
    close(np.bincount(path[:, -1], minlength=3), len(path), late)


def test_values_are_those_of_the_state_of_their_step(sampled):
    y, path = sampled
    for state in range(3):
        here = y[path == state]
        np.testing.assert_array_less(np.abs(here.mean(0) - MEANS[state]), FAR / np.sqrt(len(here)))
        # The variance of an entry of a sample covariance of normals is at most twice the product of the variances, over n.
        np.testing.assert_array_less(np.abs(np.cov(here.T) - COVS[state]), FAR * np.sqrt(2 / len(here)))


def test_hmmlearn_finds_them_as_likely_as_its_own(sampled):
    theirs = GaussianHMM(3, "full")
    theirs.startprob_, theirs.transmat_, theirs.means_, theirs.covars_ = INITIAL, MATRIX, MEANS, COVS
    own = [theirs.sample(20, random_state=i)[0] for i in range(100)]
    ours, theirs = (np.array([theirs.score(y) for y in some]) for some in (sampled[0][:100].astype(float), own))
    assert abs(ours.mean() - theirs.mean()) < FAR * np.sqrt((ours.var() + theirs.var()) / 100)


def test_a_long_path_occupies_the_states_as_the_stationary_distribution_does():
    _, states = MODEL.sample(20_000, seed=1, params=PARAMS)
    values, vectors = np.linalg.eig(MATRIX.T)
    stationary = np.real(vectors[:, np.argmax(values.real)])
    stationary /= stationary.sum()
    slowest = np.sort(np.abs(values))[-2]
    # Steps depend on each other: as many independent ones as the slowest mode leaves.
    effective = 20_000 * (1 - slowest) / (1 + slowest)
    share = np.bincount(states["y"], minlength=3) / 20_000
    assert (np.abs(share - stationary) < FAR * np.sqrt(stationary * (1 - stationary) / effective)).all()


def test_choices_of_a_glm_hmm_follow_the_inputs_in_each_state():
    model = hmm(2, emissions.BernoulliRegression(1))
    params = {**CHAIN, "weights": np.array([[3.0], [0.0]]), "biases": np.array([0.0, 1.0])}
    x = [np.full((500, 1), -0.5), np.full((300, 1), 0.5)]
    data, states = model.sample({"x": x}, seed=0, params=params)
    assert data["x"] is x and [len(y) for y in data["y"]] == [500, 300]
    for stimulus, y, path in zip((-0.5, 0.5), data["y"], states["y"], strict=True):
        for state, logit in enumerate((3.0 * stimulus, 1.0)):
            close(y[path == state].sum(), np.sum(path == state), 1 / (1 + np.exp(-logit)))
    jl.condition(model, data)  # as a fit takes them


def test_transitions_follow_their_inputs():
    model = hmm(2, emissions.Gaussian(), jl.models.InputDriven(1))
    params = {
        "initial_probs": np.array([1.0, 0.0]),
        "transition_weights": np.array([[[0.0], [4.0]], [[0.0], [0.0]]]),
        "transition_biases": np.zeros((2, 2)),
        "means": np.array([0.0, 5.0]),
        "covs": np.ones(2),
    }
    u = RNG.integers(0, 2, (4000, 1)).astype(float)
    path = model.sample({"u": u}, seed=0, params=params).states["y"]
    for value, probability in ((0.0, 0.5), (1.0, 1 / (1 + np.exp(-4.0)))):
        left = (path[:-1] == 0) & (u[1:, 0] == value)
        close(path[1:][left].sum(), left.sum(), probability)


def test_experts_are_chosen_by_the_gate():
    model = jl.models.mixture_of_experts(2, 1)
    params = {
        "gate_weights": np.array([[2.0], [0.0]]),
        "gate_biases": np.zeros(2),
        "weights": np.array([[1.0], [-1.0]]),
        "biases": np.array([0.0, 10.0]),
        "scale_weights": np.zeros((2, 1)),
        "scale_biases": np.zeros(2),
    }
    data, states = model.sample({"x": np.ones((4000, 1))}, seed=0, params=params)
    close(np.sum(states["y"] == 0), 4000, 1 / (1 + np.exp(-2.0)))
    for expert, mean in enumerate((1.0, 9.0)):
        here = data["y"][states["y"] == expert]
        assert abs(here.mean() - mean) < FAR / np.sqrt(len(here))


def test_rows_of_a_mixture_and_of_a_model_by_hand():
    params = {"mixture_weights": np.array([0.3, 0.7]), "means": np.array([-9.0, 9.0]), "covs": np.ones(2)}
    data, states = jl.models.gaussian_mixture(2, None).sample(3000, seed=0, params=params)
    close(states["y"].sum(), 3000, 0.7)
    np.testing.assert_array_equal(data["y"] > 0, states["y"] == 1)
    parts = lambda p: dist.MixtureGeneral(
        dist.Categorical(jnp.array([0.3, 0.7])),
        [dist.Delta(-1.0), dist.Exponential(p.rate)],
        support=dist.constraints.real,
    )
    by_hand = jl.Model({"rate": dist.Gamma(1.0, 1.0)}, lambda p, d: {"wait": parts(p), "n": dist.Poisson(p.rate)})
    data, states = by_hand.sample(3000, seed=0, params={"rate": 2.0})
    assert set(states) == {"wait"} and data["n"].shape == (3000,)
    np.testing.assert_array_equal(data["wait"] > 0, states["wait"] == 1)
    close(states["wait"].sum(), 3000, 0.7)
    assert abs(data["n"].mean() - 2.0) < FAR * np.sqrt(2 / 3000)


def test_an_observation_that_others_depend_on_is_drawn_first():
    model = jl.Model(
        {"a": dist.Normal(0.0, 1.0)}, lambda p, d: {"x": dist.Normal(p.a, 1.0), "y": dist.Normal(d.x, 1e-3)}
    )
    data, states = model.sample(50, seed=0, params={"a": 100.0})
    assert not states and np.ptp(data["x"]) > 1
    np.testing.assert_allclose(data["y"], data["x"], atol=0.01)


def test_draws_have_the_form_of_what_is_given():
    one, path = MODEL.sample(7, seed=0, params=PARAMS)
    assert one["y"].shape == (7, 2) and path["y"].shape == (7,)
    same = MODEL.sample(7, seed=jax.random.key(0), params=PARAMS)
    np.testing.assert_array_equal(one["y"], same.data["y"])
    assert np.any(MODEL.sample(7, seed=1, params=PARAMS).data["y"] != one["y"])
    ragged, paths = MODEL.sample([4, 6], seed=0, params=PARAMS)
    assert [y.shape for y in ragged["y"]] == [(4, 2), (6, 2)] and [len(path) for path in paths["y"]] == [4, 6]
    # As long as observed sequences, whose values do not count.
    again = MODEL.sample(ragged, seed=0, params=PARAMS)
    other = MODEL.sample({"y": [np.zeros((4, 2)), np.ones((6, 2))]}, seed=0, params=PARAMS)
    jax.tree.map(np.testing.assert_array_equal, (again, ragged["y"]), (other, ragged["y"]))
    assert [y.shape for y in again.data["y"]] == [(4, 2), (6, 2)]
    # One dataset of a batch is padded, and so are its draws.
    model = hmm(2, emissions.LinearRegression(1))
    params = {**CHAIN, "weights": np.ones((2, 1)), "biases": np.zeros(2), "covs": np.ones(2)}
    padded = jl.batch([{"x": [np.ones((3, 1)), np.ones((5, 1))]}])[0]
    data, states = model.sample(padded, seed=0, params=params)
    np.testing.assert_array_equal(data["y"].mask, padded["x"].mask)
    assert data["y"].shape == (2, 5) and (states["y"][0, 3:] == -1).all() and (states["y"][1] >= 0).all()
    jl.condition(model, data)


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    "call, what, words",
    [
        (lambda: MODEL.sample(0, 0, PARAMS), "size", ["whole numbers"]),
        (lambda: MODEL.sample(2.5, 0, PARAMS), "size", ["2.5"]),
        (lambda: MODEL.sample([3, -1], 0, PARAMS), "size", ["-1"]),
        (lambda: MODEL.sample({}, 0, PARAMS), "'y'", ["how many steps"]),
        (lambda: MODEL.sample(5, None, PARAMS), "seed", ["NoneType"]),
        (lambda: MODEL.sample(5, 0, {**PARAMS, "mean": MEANS}), "'mean'", ["did you mean 'means'"]),
        (lambda: MODEL.sample(5, 0, {"means": MEANS}), "'initial_probs'", ["no value"]),
        (lambda: MODEL.sample(5, 0, {**PARAMS, "means": MEANS[:, :1]}), "", ["params"]),
        (lambda: MODEL.sample(5, 0, {n: x[None] for n, x in PARAMS.items()}), "", ["result.best().params"]),
        (lambda: MODEL.sample(5, 0, {**PARAMS, "transition_matrix": 2 * MATRIX}), "'transition_matrix'", ["sum to 1"]),
        (lambda: hmm(2, emissions.BernoulliRegression(1)).sample(5, 0, {
            **CHAIN, "weights": np.ones((2, 1)), "biases": np.zeros(2)}), "'x'", ["{'x': x}"]),
        (lambda: hmm(2, emissions.Autoregression(1)).sample({"y": np.zeros(5)}, 0, {
            **CHAIN, "weights": np.ones((2, 1)), "biases": np.zeros(2), "covs": np.ones(2)}), "'y'", ["depend"]),
        (lambda: jl.Model({"a": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.a, jnp.ones(3))}).sample(
            5, 0, {"a": 0.0}), "'y'", ["(5,)", "(3,)"]),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused(call, what, words):
    with pytest.raises(jl.InputError) as caught:
        call()
    assert "sample" in caught.value.what and what in caught.value.what
    for word in words:
        assert word in str(caught.value), str(caught.value)
