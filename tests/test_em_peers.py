"""EM equals that of dynamax, hmmlearn and scikit-learn, iteration by iteration, from the same start under the same priors.

dynamax's spherical HMM is left out: Adam climbs its M-step, and its gamma prior of variances is not ours. scikit-learn knows no priors, so
there ours are made flat (`FLAT`).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from often import often

import jaxlatent as jl
from jaxlatent.models import Constant, Initial, Stationary, emissions, hmm, mixture

K, S, T, N, D = 3, 4, 50, 10, 2
#: Sums of 200 terms in 64 bits, after ten iterations.
CLOSE = {"rtol": 1e-7, "atol": 1e-9}
CHAIN = {
    "initial_probs": np.array([0.5, 0.3, 0.2]),
    "transition_matrix": np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]]),
}
MEANS = np.array([[-1.0, 0.5], [0.5, 2.0], [2.0, 0.0]])
COVS = {
    "full": np.array([[[1.0, 0.3], [0.3, 0.8]], [[1.5, -0.2], [-0.2, 1.0]], [[0.7, 0.0], [0.0, 1.2]]]),
    "diagonal": np.array([[1.0, 0.8], [1.5, 1.0], [0.7, 1.2]]),
    "spherical": np.array([1.0, 1.5, 0.7]),
    "tied": np.array([[1.0, 0.3], [0.3, 0.8]]),
}
covariances = pytest.mark.parametrize("covariance", often(COVS, {"full"}))

#: Priors strong enough to be seen; dynamax counts degrees of freedom from D, not from D - 1.
SOME = {"mean": 0.5, "mean_concentration": 0.3, "df": 2.7, "scale": 0.4}
WISHART = {"emission_prior_mean": 0.5, "emission_prior_concentration": 0.3, "emission_prior_scale": 0.4}
WISHART |= {"emission_prior_extra_df": 1.7}
GAMMA = {"emission_prior_mean": 0.5, "emission_prior_mean_concentration": 0.3, "emission_prior_scale": 0.2}
GAMMA |= {"emission_prior_concentration": 1.35}
LINE = {"weights": np.array([[1.0, -0.5], [0.2, 0.5], [-1.0, 0.0]]), "biases": np.array([-0.5, 0.0, 0.5])}
LINE |= {"covs": np.array([1.0, 1.5, 0.7])}
#: Emissions, where they start, the class and priors of dynamax, and what is observed.
DYNAMAX = {
    "Gaussian": (
        emissions.Gaussian(D, **SOME),
        {"means": MEANS, "covs": COVS["full"]},
        ("GaussianHMM", {"emission_dim": D, **WISHART}),
        "points",
    ),
    "scalar Gaussian": (
        emissions.Gaussian(**SOME),
        {"means": MEANS[:, 0], "covs": COVS["spherical"]},
        ("GaussianHMM", {"emission_dim": 1, **WISHART}),
        "numbers",
    ),
    "diagonal Gaussian": (
        emissions.Gaussian(D, "diagonal", **SOME),
        {"means": MEANS, "covs": COVS["diagonal"]},
        ("DiagonalGaussianHMM", {"emission_dim": D, **GAMMA}),
        "points",
    ),
    "tied Gaussian": (
        emissions.Gaussian(D, "tied", **(SOME | {"mean": 0.0})),
        {"means": MEANS, "covs": COVS["tied"]},
        # Its M-step counts the prior of the means once for all states, so only a prior mean of zero is at its mode.
        ("SharedCovarianceGaussianHMM", {"emission_dim": D, **WISHART, "emission_prior_mean": 0.0}),
        "points",
    ),
    "Bernoulli": (
        emissions.Bernoulli(D, concentration1=1.5, concentration0=2.0),
        {"probs": np.array([[0.2, 0.6], [0.5, 0.9], [0.8, 0.4]])},
        (
            "BernoulliHMM",
            {"emission_dim": D, "emission_prior_concentration1": 1.5, "emission_prior_concentration0": 2.0},
        ),
        "events",
    ),
    "Poisson": (
        emissions.Poisson(D, concentration=1.5, rate=0.4),
        {"rates": np.array([[1.0, 3.0], [2.0, 5.0], [5.0, 2.0]])},
        ("PoissonHMM", {"emission_dim": D, "emission_prior_concentration": 1.5, "emission_prior_rate": 0.4}),
        "counts",
    ),
    "categorical": (
        emissions.Categorical(4, concentration=1.4),
        {"probs": np.array([[0.4, 0.3, 0.2, 0.1], [0.2, 0.4, 0.2, 0.2], [0.1, 0.2, 0.2, 0.5]])},
        ("CategoricalHMM", {"emission_dim": 1, "num_classes": 4, "emission_prior_concentration": 1.4}),
        "classes",
    ),
    "linear regression": (
        emissions.LinearRegression(D, prior_scale=None, variance_shape=None),
        LINE,
        ("LinearRegressionHMM", {"emission_dim": 1, "input_dim": D}),
        "responses",
    ),
}


def observed(kind, shape=(S, T)):
    """Observations ``y`` and inputs ``x`` of three blurred states that last."""
    rng = np.random.default_rng(7)
    stays = rng.random(shape) < 0.8
    states = rng.integers(0, K, shape)
    for t in range(1, shape[-1]):
        states[..., t] = np.where(stays[..., t], states[..., t - 1], states[..., t])
    x = rng.normal(size=(*shape, D))
    points = 1.5 * MEANS[states] + rng.normal(size=(*shape, D)) @ np.array([[1.0, 0.4], [0.0, 0.8]])
    made = {
        "points": points,
        "numbers": points[..., 0],
        "events": (points > 0.5).astype(float),
        "counts": rng.poisson(np.exp(0.4 * points)),
        "classes": np.clip(np.round(points[..., 0] + 1), 0, 3).astype(int),
        "responses": (x * MEANS[states]).sum(-1) + states + rng.normal(size=shape),
    }
    return {"y": made[kind], "x": x}


def fitted(model, data, start, iterations=1):
    """One lane of plain EM."""
    return jl.fit(model, data, jl.EM(restarts=1, max_iter=iterations, tol=0.0), seed=0, init=start)


def walk(model, data, start):
    """Log likelihoods after each of ten iterations; parameters likewise, led by the start."""
    log_likelihoods, params = [], [start]
    for _ in range(N):
        best = fitted(model, data, params[-1]).best()
        log_likelihoods.append(best.statistics["log_likelihood"])
        params.append(best.params)
    return np.array(log_likelihoods), params


def agree(ours, theirs):
    """The same parameters, in the same shapes."""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], err_msg=name, **CLOSE)


def moved(history):
    """A damped_newton worth comparing: it gains much at first, and still something at the end."""
    gains = np.abs(np.diff(history))
    assert gains[0] > 10 and gains[1] > 0.1 and gains[-1] > 1e-6


class Dynamax:
    """dynamax's HMM with our names and shapes for parameters."""

    def __init__(self, kind, priors, start, data):
        models = pytest.importorskip("dynamax.hidden_markov_model")
        chain = {"initial_probs_concentration": 1.3, "transition_matrix_concentration": 1.2}
        self.model = getattr(models, kind)(K, **chain, transition_matrix_stickiness=2.0, **priors)
        self.start = start
        self.y = jnp.asarray(data["y"]).reshape(S, T, priors["emission_dim"])
        self.x = jnp.asarray(data["x"]) if "input_dim" in priors else None

    def damped_newton(self):
        """Its log joint and parameters at the start of each iteration."""
        params, props = self._described()
        aliases = {"scale_diags": lambda start: np.sqrt(start["covs"]), "cov": lambda start: start["covs"]}
        shaped = {
            name: jnp.reshape(aliases.get(name, lambda start, name=name: start[name])(self.start), leaf.shape)
            for name, leaf in params.emissions._asdict().items()
        }
        params = params._replace(
            initial=params.initial._replace(probs=jnp.asarray(CHAIN["initial_probs"])),
            transitions=params.transitions._replace(transition_matrix=jnp.asarray(CHAIN["transition_matrix"])),
            emissions=params.emissions._replace(**shaped),
        )
        # Compiled once; `fit_em` itself compiles again in every call.
        fit = lambda params: self.model.fit_em(params, props, self.y, inputs=self.x, num_iters=1, verbose=False)
        fit, history, walked = jax.jit(fit), [], []
        for _ in range(N + 1):
            walked.append(self._named(params))
            params, log_joint = fit(params)
            history.append(float(log_joint[0]))
        return np.array(history), walked

    def _described(self):
        """Parameters of which only the shapes are known, and their properties."""
        held = []

        def initialize(key):
            params, props = self.model.initialize(key)
            held.append(props)
            return params

        return jax.eval_shape(initialize, jax.random.PRNGKey(0)), held[0]

    def _named(self, params):
        found = {**params.emissions._asdict(), "initial_probs": params.initial.probs}
        found["transition_matrix"] = params.transitions.transition_matrix
        if "scale_diags" in found:
            found["covs"] = found.pop("scale_diags") ** 2
        if "cov" in found:
            found["covs"] = found.pop("cov")
        return {name: np.reshape(value, self.start[name].shape) for name, value in found.items()}


def beside_dynamax(name):
    """Our model, its start and data; and what dynamax makes of them."""
    part, start, (kind, priors), what = DYNAMAX[name]
    start, data = CHAIN | start, observed(what)
    history, params = Dynamax(kind, priors, start, data).damped_newton()
    moved(history)
    if kind != "LinearRegressionHMM":
        del data["x"]
    model = hmm(K, part, Stationary(concentration=1.2, stickiness=2.0), Initial(concentration=1.3))
    return model, start, data, history, params


@pytest.mark.parametrize("name", often(DYNAMAX, set()))
def test_log_joints_and_parameters_are_those_of_dynamax(name, x64):
    model, params, data, history, expected = beside_dynamax(name)
    for before, after in zip(history, expected[1:], strict=False):
        step = fitted(model, data, params)
        params = step.best().params
        np.testing.assert_allclose(step.trace[0], [before], rtol=1e-9)
        agree(params, after)


@pytest.mark.parametrize("name", often(["Gaussian", "linear regression"], set()))
def test_the_trace_of_one_fit_is_that_of_dynamax(name, x64):
    model, start, data, history, expected = beside_dynamax(name)
    result = fitted(model, data, start, N)
    np.testing.assert_allclose(result.trace[0], history[:N], rtol=1e-9)
    np.testing.assert_allclose(result.best().objective, history[N], rtol=1e-9)
    agree(result.best().params, expected[N])


#: Priors of `Gaussian` under which the mode is the maximum of the likelihood.
FLAT = {"mean_concentration": None, "df": None}


def hmmlearn_settings(covariance, prior, chain):
    """Priors of hmmlearn, whose weights of covariances count from other zeros for each type."""
    # Degrees of freedom that cancel what the prior would add to the exponents.
    none = {"full": -(2 * D + 1), "tied": -(2 * D + K), "diagonal": -3, "spherical": -(2 + D)}[covariance]
    df = none if prior["df"] is None else prior["df"]
    weight = {"full": df + 3 * D + 1, "tied": df + 3 * D + K, "diagonal": df + 4, "spherical": (df + 2) / D + 2}
    scale = {"full": np.eye(D), "tied": np.eye(D), "diagonal": 1.0, "spherical": 1 / D}[covariance]
    return {
        "covariance_type": {"diagonal": "diag"}.get(covariance, covariance),
        "startprob_prior": chain[0],
        "transmat_prior": chain[1] + chain[2] * np.eye(K),
        "means_prior": prior.get("mean", 0.0),
        "means_weight": prior["mean_concentration"] or 0.0,
        "covars_prior": prior.get("scale", 0.0) * scale,
        "covars_weight": weight[covariance],
    }


def hmmlearn_climb(settings, start, sequences, iterations):
    """The parameters after so many iterations, and the log likelihood before each of them."""
    module = pytest.importorskip("hmmlearn.hmm")
    model = module.GaussianHMM(K, min_covar=0.0, n_iter=iterations, tol=-np.inf, init_params="", **settings)
    model.startprob_, model.transmat_ = start["initial_probs"].copy(), start["transition_matrix"].copy()
    model.means_, model.covars_ = start["means"].copy(), start["covs"]
    model.fit(np.concatenate(sequences), [len(y) for y in sequences])
    # Its public covars_ are not of the right shape for spherical ones.
    covs = model._covars_[:, 0] if settings["covariance_type"] == "spherical" else model._covars_
    named = {"initial_probs": model.startprob_, "transition_matrix": model.transmat_, "means": model.means_}
    return {**named, "covs": covs}, np.array(model.monitor_.history)


def against_hmmlearn(covariance, prior, chain, sequences):
    """Ours and theirs side by side for ten iterations."""
    start = CHAIN | {"means": MEANS, "covs": COVS[covariance]}
    transitions = Stationary(concentration=chain[1], stickiness=chain[2])
    model = hmm(K, emissions.Gaussian(D, covariance, **prior), transitions, Initial(concentration=chain[0]))
    log_likelihoods, params = walk(model, {"y": sequences}, start)
    settings = hmmlearn_settings(covariance, prior, chain)
    for n in (1, 2, N):
        expected, history = hmmlearn_climb(settings, start, sequences, n)
        agree(params[n], expected)
    moved(history)
    np.testing.assert_allclose(log_likelihoods[:-1], history[1:], rtol=1e-9)


@covariances
def test_log_likelihoods_and_parameters_are_those_of_hmmlearn(covariance, x64):
    against_hmmlearn(covariance, SOME, (1.3, 1.2, 2.0), list(observed("points")["y"]))


@pytest.mark.parametrize("covariance", often(["full", "diagonal"], {"full"}))
def test_maximum_likelihood_for_ragged_sequences_is_that_of_hmmlearn(covariance, x64):
    lengths = (T, 31, 1, 7)
    sequences = [y[:n] for y, n in zip(observed("points")["y"], lengths, strict=True)]
    against_hmmlearn(covariance, FLAT, (1.0, 1.0, 0.0), sequences)


def sklearn_climb(covariance, start, y, iterations):
    """The parameters after so many iterations, and the log likelihood before each of them."""
    module = pytest.importorskip("sklearn.mixture")
    covs = start["covs"]
    model = module.GaussianMixture(
        K,
        covariance_type={"diagonal": "diag"}.get(covariance, covariance),
        tol=0.0,
        reg_covar=0.0,
        max_iter=iterations,
        weights_init=start["mixture_weights"],
        means_init=start["means"],
        precisions_init=np.linalg.inv(covs) if covariance in ("full", "tied") else 1 / covs,
    )
    with pytest.warns(UserWarning, match="did not converge"):
        model.fit(y)
    named = {"mixture_weights": model.weights_, "means": model.means_, "covs": model.covariances_}
    return named, np.array(model.lower_bounds_) * len(y)


def against_sklearn(covariance, data, seen):
    """Ours with flat priors, and theirs on the rows that were seen."""
    start = {"mixture_weights": CHAIN["initial_probs"], "means": MEANS, "covs": COVS[covariance]}
    model = mixture(K, emissions.Gaussian(D, covariance, **FLAT), Constant(1.0))
    log_likelihoods, params = walk(model, data, start)
    for n in (1, 2, N):
        expected, history = sklearn_climb(covariance, start, seen, n)
        agree(params[n], expected)
    moved(history)
    np.testing.assert_allclose(log_likelihoods[:-1], history[1:], rtol=1e-9)


@covariances
def test_log_likelihoods_and_parameters_are_those_of_sklearn(covariance, x64):
    y = observed("points")["y"].reshape(-1, D)
    against_sklearn(covariance, {"y": y}, y)


@pytest.mark.slow
def test_masked_rows_are_rows_that_sklearn_never_saw(x64):
    y = observed("points")["y"].reshape(-1, D)
    mask = np.random.default_rng(0).random(len(y)) < 0.7
    against_sklearn("full", {"y": jl.Masked(np.where(mask[:, None], y, np.nan), mask)}, y[mask])


@pytest.mark.slow
def test_default_priors_hardly_matter_for_many_observations():
    y = observed("points", (40, 500))["y"].reshape(-1, D)
    start = {"mixture_weights": CHAIN["initial_probs"], "means": MEANS, "covs": COVS["diagonal"]}
    model = mixture(K, emissions.Gaussian(D, "diagonal"))
    ours = fitted(model, {"y": y.astype(np.float32)}, start, N).best()
    theirs = sklearn_climb("diagonal", start, y, N)[0]
    reached = sklearn_climb("diagonal", start, y, N + 1)[1][N]
    # Priors worth five observations in some five thousand, in 32 bits.
    for name, value in theirs.items():
        np.testing.assert_allclose(ours.params[name], value, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours.statistics["log_likelihood"], reached, rtol=1e-5)
