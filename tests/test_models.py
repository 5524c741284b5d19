"""Laws that every ready family keeps, whatever its parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from often import often
from scipy import optimize, stats
from scipy.special import logsumexp, softmax

import jaxlatent as jl
from jaxlatent.data.namespace import Namespace
from jaxlatent.models import InputDriven, Stationary, emissions, hmm, mixture
from jaxlatent.results import conditional

K, S, T = 2, 3, 120
ROWS = jnp.array([[0.9, 0.1], [0.2, 0.8]])
CHAIN = {"initial_probs": jnp.array([0.6, 0.4]), "transition_matrix": ROWS}
EYE = jnp.eye(2)
#: Emissions and the parameters that the data come from.
EMISSIONS = {
    "scalar normal": (emissions.Gaussian(), {"means": [-2.0, 2.0], "covs": [1.0, 0.5]}),
    "full": (
        emissions.Gaussian(2),
        {"means": [[-2.0, 0], [2.0, 1]], "covs": [[[1, 0.5], [0.5, 1]], [[1, -0.3], [-0.3, 2]]]},
    ),
    "diagonal": (emissions.Gaussian(2, "diagonal"), {"means": [[-2.0, 0], [2.0, 1]], "covs": [[1.0, 2], [0.5, 1]]}),
    "spherical": (emissions.Gaussian(2, "spherical"), {"means": [[-2.0, 0], [2.0, 1]], "covs": [1.0, 0.5]}),
    "tied": (emissions.Gaussian(2, "tied"), {"means": [[-2.0, 0], [2.0, 1]], "covs": [[1, 0.5], [0.5, 1]]}),
    "Bernoulli": (emissions.Bernoulli(), {"probs": [0.1, 0.8]}),
    "Bernoulli vectors": (emissions.Bernoulli(3), {"probs": [[0.1, 0.2, 0.9], [0.8, 0.7, 0.3]]}),
    "categorical": (emissions.Categorical(3), {"probs": [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]}),
    "Poisson": (emissions.Poisson(), {"rates": [1.0, 8.0]}),
    "Poisson vectors": (emissions.Poisson(2), {"rates": [[1.0, 3.0], [8.0, 2.0]]}),
    "negative binomial": (emissions.NegativeBinomial(), {"rates": [2.0, 20.0], "concentrations": [3.0, 5.0]}),
    "Student-t": (emissions.StudentT(), {"means": [-3.0, 3.0], "scales": [1.0, 0.5]}),
    "linear regression": (
        emissions.LinearRegression(2, prior_scale=3.0),
        {"weights": [[1.0, -1.0], [-1.0, 0.5]], "biases": [1.0, -1.0], "covs": [0.5, 1.0]},
    ),
    "flat linear regression": (
        emissions.LinearRegression(2, prior_scale=None, variance_shape=None),
        {"weights": [[1.0, -1.0], [-1.0, 0.5]], "biases": [1.0, -1.0], "covs": [0.5, 1.0]},
    ),
    "logistic regression": (
        emissions.BernoulliRegression(2, prior_scale=2.0),
        {"weights": [[3.0, -1.0], [-2.0, 0.5]], "biases": [1.0, -1.0]},
    ),
    "logistic regression, no bias": (
        emissions.BernoulliRegression(2, prior_scale=2.0, bias=False),
        {"weights": [[3.0, -1.0], [-2.0, 0.5]]},
    ),
    "Poisson regression": (
        emissions.PoissonRegression(2, prior_scale=2.0),
        {"weights": [[0.5, -0.5], [-0.5, 0.2]], "biases": [1.0, 2.0]},
    ),
    "multinomial regression": (
        emissions.CategoricalRegression(2, 3),
        {"weights": [[[2.0, 0], [0, 0], [0, 1]], [[-2.0, 0], [0, 0], [0, -1]]], "biases": [[0.0, 1, 0], [0.0, 0, 1]]},
    ),
    "autoregression": (
        emissions.Autoregression(1, prior_scale=3.0),
        {"weights": [[0.9], [-0.5]], "biases": [0.0, 1.0], "covs": [0.2, 0.2]},
    ),
}
#: One M-step of these only goes uphill; the others reach the top.
UPHILL = {"negative binomial", "Student-t", "logistic regression", "logistic regression, no bias"} | {
    "Poisson regression",
    "multinomial regression",
}
#: One of each kind of M-step.
OFTEN = {"full", "linear regression", "logistic regression"}
every = pytest.mark.parametrize("name", often(EMISSIONS, OFTEN))
fitted = pytest.mark.parametrize("name", often(EMISSIONS, {"logistic regression"}))


def problem(name, build=hmm, ragged=False):
    """A model, the truth, and data drawn from it."""
    part, truth = EMISSIONS[name]
    model = build(K, part)
    own = CHAIN if build is hmm else {"mixture_weights": CHAIN["initial_probs"]}
    truth = {**own, **{key: jnp.asarray(value, jnp.float32) for key, value in truth.items()}}
    rng = np.random.default_rng(sum(map(ord, name)))
    shape = (S, T) if build is hmm else (S * T,)
    blank = np.zeros((*shape, part.dim) if part.event_dim else shape, np.float32)
    data = {"y": blank, "x": rng.normal(size=(*shape, 2)).astype(np.float32)}
    if name == "autoregression":
        data["y"] = autoregressive(rng, truth, shape)
    else:
        data["y"] = np.asarray(jax.jit(model.sample_observed)(jax.random.key(1), truth, data)["y"])
    if ragged:
        lengths = (T, T // 2, T // 3)
        data = {key: [row[:n] for row, n in zip(value, lengths, strict=True)] for key, value in data.items()}
    return model, truth, data


def autoregressive(rng, truth, shape):
    """Series that follow the truth step by step: a model cannot draw them, for it is handed what came before."""
    y = np.zeros(shape, np.float32)
    for s in range(shape[0]):
        state, before = 0, 0.0
        for t in range(shape[1]):
            state = rng.choice(K, p=(0.9, 0.1) if state == 0 else (0.2, 0.8))
            mean = truth["weights"][state, 0] * before + truth["biases"][state]
            y[s, t] = before = mean + rng.normal() * np.sqrt(truth["covs"][state])
    return y


def bent(truth):
    """Parameters a little away from the truth, inside every support."""
    return {
        name: value * 0.9 + (0.1 / value.shape[-1] if name.endswith(("probs", "matrix", "weights")) else 0.05)
        if name in ("initial_probs", "transition_matrix", "mixture_weights", "probs")
        else value * 1.1
        for name, value in truth.items()
    }


@jax.jit
def joint(posterior, params):
    """Log prior and log likelihood."""
    likelihood = posterior.density.log_likelihood(params, posterior.data)["y"]
    return posterior.density.log_prior(params, posterior.data) + likelihood.sum()


@jax.jit
def look(posterior, params):
    """Log likelihoods and expected labels."""
    expected = posterior.density.expect(params, posterior.data, "exact", jax.random.key(0), 1)
    return posterior.density.log_likelihood(params, posterior.data)["y"], expected["y"]


@every
def test_an_m_step_maximises_the_expected_complete_log_joint(name):
    model, truth, data = problem(name)
    posterior = jl.condition(model, data)
    density, params = posterior.density, bent(truth)
    if name == "categorical":
        params["probs"] = truth["probs"]

    @jax.jit
    def step(params):
        expected = density.expect(params, posterior.data, "exact", jax.random.key(0), 1)
        height = lambda z: density.expected_log_joint(posterior.constrain(z), posterior.data, expected)
        both = [posterior.unconstrain(p) for p in (params, density.m_step(params, posterior.data, expected))]
        return jax.vmap(jax.value_and_grad(height))(jnp.stack(both))

    heights, slopes = step(params)
    assert heights[1] > heights[0]
    left = np.abs(slopes[1]).max() / np.abs(slopes[0]).max()
    # Float32 sums of 360 terms; Newton's two steps and Student-t's one leave more.
    assert left < (0.3 if name in UPHILL else 2e-3), left


@fitted
def test_em_climbs_and_comes_as_high_as_the_truth(name):
    model, truth, data = problem(name)
    result = jl.fit(model, data, jl.EM(restarts=4, max_iter=200), seed=0)
    assert np.nanmin(np.diff(result.trace, axis=1)) > -1e-2
    assert not np.isin(result.status, [jl.Status.NON_FINITE, jl.Status.DECREASED]).any()
    posterior = jl.condition(model, data)
    best = result.best()
    np.testing.assert_allclose(best.objective, joint(posterior, best.params), rtol=1e-5)
    np.testing.assert_allclose(
        best.objective, best.statistics["log_likelihood"] + best.statistics["log_prior"], rtol=1e-6
    )
    assert best.objective > joint(posterior, truth) - 0.05


@pytest.mark.parametrize(
    "name", often(["full", "logistic regression", "Poisson", "scalar normal"], {"logistic regression", "Poisson"})
)
def test_ragged_sequences_equal_their_sum(name):
    model, truth, data = problem(name, ragged=True)
    every, expected = look(jl.condition(model, data), truth)
    transitions = 0.0
    for i in range(S):
        likelihood, alone = look(jl.condition(model, {key: value[i] for key, value in data.items()}), truth)
        np.testing.assert_allclose(every[i], likelihood, rtol=1e-5)
        length = len(data["y"][i])
        np.testing.assert_allclose(expected.weights[i, :length], alone.weights, atol=1e-5)
        assert not expected.weights[i, length:].any()
        transitions += alone.transitions
    np.testing.assert_allclose(expected.transitions.sum(0), transitions, rtol=1e-4)


@pytest.mark.parametrize("name", often(["full", "linear regression", "Poisson"], {"Poisson"}))
def test_mixtures_come_as_high_as_the_truth(name):
    model, truth, data = problem(name, build=mixture)
    result = jl.fit(model, data, jl.EM(restarts=4, max_iter=300), seed=0)
    assert np.nanmin(np.diff(result.trace, axis=1)) > -1e-2
    assert result.best().objective > joint(jl.condition(model, data), truth) - 0.05


@pytest.mark.parametrize(
    "name", often([name for name in EMISSIONS if name != "autoregression"], {"categorical", "multinomial regression"})
)
def test_any_emission_makes_a_mixture_whose_density_is_the_sum_over_its_components(name):
    model, truth, data = problem(name, build=mixture)
    posterior = jl.condition(model, data)
    part, y = EMISSIONS[name][0], posterior.data["y"]
    components = lambda p: part.distribution(Namespace("parameters", p), Namespace("data", posterior.data))
    log_probs = jax.jit(lambda p: components(p).log_prob(jnp.expand_dims(y, y.ndim - part.event_dim)))
    logs = np.log(truth["mixture_weights"]) + log_probs(truth)
    likelihood, expected = look(posterior, truth)
    np.testing.assert_allclose(likelihood, logsumexp(logs, -1), rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(expected.weights, softmax(logs, -1), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "build", "ask"),
    [
        ("categorical", mixture, lambda d: d.mean()),
        ("categorical", mixture, lambda d: d.pit()),
        ("multinomial regression", mixture, lambda d: d.coverage([0.5])),
        ("categorical", hmm, lambda d: d.mean()),
        ("Poisson", mixture, lambda d: d.quantile([0.5])),
        ("Poisson", mixture, lambda d: d.modes()),
        ("full", mixture, lambda d: d.density([0.0])),
        ("Poisson", hmm, lambda d: d.variance()),
    ],
)
def test_what_a_conditional_does_not_have_is_refused(name, build, ask):
    """Categories have no mean, counts no modes, vectors no density on a grid; it was NaN, or an error of NumPyro's."""
    model, truth, data = problem(name, build)
    lead = lambda tree, axes: jax.tree.map(lambda x: jnp.asarray(x)[(None,) * axes], tree)
    posterior = lead(jl.condition(model, data), 1)
    with pytest.raises(jl.InputError, match=r"of 'y'[\s\S]*log_score"):
        ask(conditional.make_conditional(posterior, lead(truth, 2), False, None, lambda x: x[0, 0]))


@pytest.mark.slow
def test_transitions_driven_by_inputs():
    part = emissions.Gaussian()
    model = hmm(K, part, InputDriven(1))
    truth = {
        "initial_probs": jnp.array([0.5, 0.5]),
        "transition_biases": 2.0 * jnp.eye(2),
        "transition_weights": jnp.array([[[0.0], [2.0]], [[0.0], [-2.0]]]),
        "means": jnp.array([-2.0, 2.0]),
        "covs": jnp.ones(2),
    }
    rng = np.random.default_rng(3)
    data = {"y": np.zeros((S, T), np.float32), "u": rng.normal(size=(S, T, 1)).astype(np.float32)}
    data["y"] = np.asarray(jax.jit(model.sample_observed)(jax.random.key(0), truth, data)["y"])
    result = jl.fit(model, data, jl.EM(restarts=3), seed=0)
    assert (
        result.best().objective > joint(jl.condition(model, data), truth)
        and np.nanmin(np.diff(result.trace, axis=1)) > -1e-2
    )
    plain = jl.fit(hmm(K, part), {"y": data["y"]}, jl.EM(restarts=3), seed=0)
    assert result.best().statistics["log_likelihood"] > plain.best().statistics["log_likelihood"] + 10


def test_one_state_is_a_plain_fit():
    y = np.random.default_rng(0).normal(3.0, 2.0, (2, 50)).astype(np.float32)
    best = jl.fit(hmm(1, emissions.Gaussian()), {"y": y}, jl.EM(restarts=2), seed=0).best()
    np.testing.assert_allclose(best.params["means"], y.mean(), rtol=1e-4)
    np.testing.assert_allclose(best.params["covs"], y.var() * 100 / 103.1, rtol=1e-4)


@pytest.mark.slow
def test_stickiness_favours_staying():
    model, _, data = problem("scalar normal")
    stay = lambda m: np.diag(jl.fit(m, data, jl.EM(restarts=2), seed=0).best().params["transition_matrix"]).min()
    assert stay(hmm(K, emissions.Gaussian(), Stationary(stickiness=200.0))) > stay(model) + 0.02


#: NumPyro's bijector to covariance matrices mixes integers with floats.
STRICT = EMISSIONS.keys() - {"full", "tied"}


@pytest.mark.parametrize("name", often(sorted(STRICT), {"scalar normal", "logistic regression"}))
def test_em_promotes_no_types(name):
    model, _, data = problem(name)
    default = jnp.result_type(float)
    posterior = jl.condition(model, {key: x.astype(default) if x.dtype.kind == "f" else x for key, x in data.items()})
    with jax.numpy_dtype_promotion("strict"):
        out = jax.eval_shape(lambda key: jl.run(posterior, jl.EM(restarts=2), key), jax.random.key(0))
    assert {x.dtype for x in out.params.values()} == {jnp.dtype(default)}


def test_an_outlier_moves_heavy_tailed_means_no_further_than_in_double_precision():
    """In 32 bits numbers relative to the mean of all observations would be whole multiples of 0.125."""
    y = np.append(np.random.default_rng(1).normal(size=60), 1e8)
    result = jl.fit(mixture(1, emissions.StudentT()), {"y": y}, jl.EM(restarts=1), seed=0)
    cost = lambda x: -stats.t.logpdf(y, 4, x[0], np.exp(x[1])).sum()
    exact = optimize.minimize(cost, [0.0, 0.0], method="Nelder-Mead").x
    np.testing.assert_allclose(result.best().params["means"], exact[0], atol=1e-3)
    assert result.status == jl.Status.CONVERGED


def test_equal_families_are_equal():
    assert hmm(3, emissions.Gaussian(2)) == hmm(3, emissions.Gaussian(2))
    assert hmm(3, emissions.Gaussian(2)) != hmm(3, emissions.Gaussian(2, "tied"))


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: hmm(K, emissions.BernoulliRegression(1, prior_scale=-1)), "prior_scale"),
        (lambda: hmm(K, emissions.LinearRegression(1, prior_scale="weak")), "prior_scale"),
        (lambda: emissions.LinearRegression(1, variance_shape=-1), "variance_shape"),
        (lambda: emissions.LinearRegression(1, variance_scale=0.0), "variance_scale"),
        (lambda: emissions.HeteroscedasticRegression(1, prior_scale=None), "prior_scale"),
        (lambda: emissions.HeteroscedasticRegression(1, floor=-1.0), "floor"),
        (lambda: emissions.CategoricalRegression(1, 1), "num_classes"),
        (lambda: emissions.StudentT(prior_scale=float("inf")), "prior_scale"),
        (lambda: emissions.Gaussian(scale=None), "scale"),
        (lambda: mixture(K, emissions.LinearRegression(0)), "num_inputs"),
        (lambda: InputDriven(1, prior_scale=None), "prior_scale"),
        (lambda: jl.models.Gate(1, prior_scale=None), "prior_scale"),
        (lambda: emissions.Gaussian(covariance="tied"), r"tied[\s\S]*Gaussian\(1, 'tied'\)"),
        (lambda: emissions.Gaussian("full"), r"Gaussian\(dim"),
        (lambda: emissions.Gaussian(2.0), r"Gaussian\(dim"),
        (lambda: emissions.Bernoulli(0), r"Bernoulli\(dim"),
        (lambda: emissions.Bernoulli(concentration0=0.0), "concentration0"),
        (lambda: emissions.Categorical(0), "num_classes"),
        (lambda: emissions.Categorical(3, -1.0), r"Categorical\(concentration"),
        (lambda: emissions.Poisson(rate=0.0), r"Poisson\(rate"),
        (lambda: emissions.Poisson(concentration=True), r"Poisson\(concentration"),
        (lambda: emissions.NegativeBinomial(-1.0), "prior_scale"),
        (lambda: emissions.StudentT("4"), "df"),
        (lambda: emissions.BernoulliRegression("3").coefficients, "num_inputs"),
        (lambda: jl.models.Initial(0.0), r"Initial\(concentration"),
        (lambda: jl.models.Stationary(0), r"Stationary\(concentration"),
        (lambda: jl.models.Stationary(1.0, -1.0), "stickiness"),
        (lambda: jl.models.Constant(-1.0), r"Constant\(concentration"),
    ],
)
def test_settings_out_of_range_are_told_when_the_part_is_made(make, what):
    with pytest.raises(jl.InputError, match=what):
        make()


COUNTED = {
    "categorical": (jl.models.hmm(2, emissions.CategoricalRegression(2, 3, prior_scale=1.0)), 15),
    "transitions": (jl.models.hmm(3, emissions.Gaussian(), InputDriven(1, prior_scale=1.0)), 20),
    "gate": (jl.models.mixture_of_experts(2, 2, emissions.LinearRegression(2, 1.0), jl.models.Gate(2, 1.0)), 11),
    "plain": (jl.models.mixture(2, emissions.Poisson()), 3),
    "reference": (
        jl.fix(
            jl.models.mixture(1, emissions.CategoricalRegression(1, 3, 1.0, bias=False)),
            weights=jl.Masked(np.zeros((1, 3, 1)), np.array([[True, False, False]])),
        ),
        2,
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_free_parameters_are_those_that_the_likelihood_tells_apart(name, x64):
    """Their number is the rank of the gradients of many independent terms of the log likelihood, at any parameters."""
    (model, expected), rng = COUNTED[name], np.random.default_rng(0)
    shape = (40, 40) if "initial_probs" in model.prior else (60,)
    y = rng.normal(size=shape) if name in ("transitions", "gate") else rng.integers(0, 3, shape)
    data = {"y": y, "x": rng.normal(size=(*shape, 1 if name == "reference" else 2)), "u": rng.normal(size=(*shape, 1))}
    reads = {"transitions": ("y", "u"), "plain": ("y",)}.get(name, ("y", "x"))
    posterior = jl.condition(model, {key: data[key] for key in reads})
    terms = lambda position: posterior.density.log_likelihood(posterior.constrain(position), posterior.data)["y"]
    slopes = jax.jacfwd(terms)(rng.normal(size=posterior.dim))
    assert np.linalg.matrix_rank(slopes, tol=1e-8) == posterior.density.free_parameters == expected
