"""The estimators have the numbers of scikit-learn and hmmlearn at equal parameters and optima, and pass scikit-learn's checks.

Numbers are compared at the same parameters, in 32 bits to 1e-4: sums of some hundred terms of size 10 are rounded to 1e-6 of
themselves. Optima are compared in 64 bits: theirs goes on from ours until it gains less than 1e-11 a row, and stays where it is.
"""

import pickle
import subprocess
import sys
from functools import partial
from itertools import pairwise, product
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hmmlearn import hmm as hmmlearn
from often import often
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

import jaxlatent as jl
from jaxlatent.data.namespace import Namespace
from jaxlatent.latent import Expected
from jaxlatent.sklearn.estimator import _best_lane
from jaxlatent.sklearn.normals import normals

TYPES = ("full", "tied", "diag", "spherical")
CLOSE = {"rtol": 1e-4, "atol": 1e-4}
MEANS = np.array([[-3.0, 0.0], [0.0, 3.0], [3.0, -1.0]])
LENGTHS = [130, 1, 69, 100]
covariances = pytest.mark.parametrize("kind", often(TYPES, {"full"}))


def series(seed=0, rows=300):
    """Rows of three clusters, which last as states do."""
    rng = np.random.default_rng(seed)
    states = np.repeat(rng.integers(0, 3, rows), rng.integers(1, 9, rows))[:rows]
    return MEANS[states] + rng.normal(size=(rows, 2)) @ np.array([[1.0, 0.4], [0.0, 0.8]])


def choices(seed=0, rows=600):
    """Inputs, choices of two labels, and the states behind them, of a chain with two very different regressions."""
    rng = np.random.default_rng(seed)
    states = np.cumsum(rng.random(rows) < 0.05) % 2
    x = rng.normal(size=(rows, 2))
    logits = np.where(states == 0, 4 * x[:, 0], 1.0 - 3 * x[:, 1])
    return x, np.where(rng.random(rows) < 1 / (1 + np.exp(-logits)), "right", "left"), states


# scikit-learn's own checks

ESTIMATORS = {
    "GaussianMixture": jl.sklearn.GaussianMixture(),
    "GaussianHMM": jl.sklearn.GaussianHMM(),
    "GLMHMM": jl.sklearn.GLMHMM(),
}
_AS_HMMLEARN = "score_samples is hmmlearn's: the log likelihood of whole sequences, and probabilities of states"
#: Checks that an estimator fails, and why.
EXPECTED = {
    "GaussianMixture": {},
    "GaussianHMM": {
        "check_methods_sample_order_invariance": _AS_HMMLEARN,
        "check_methods_subset_invariance": _AS_HMMLEARN,
    },
    "GLMHMM": {},
}
#: The most telling of those that compile little; `make test-slow` runs all.
OFTEN = (
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_fit_score_takes_y",
    "check_estimators_unfitted",
    "check_estimators_nan_inf",
    "check_estimators_pickle",
    "check_dict_unchanged",
    "check_n_features_in",
    "check_fit2d_1sample",
    "check_fit1d",
    "check_methods_subset_invariance",
    "check_classifiers_one_label",
    "check_classifiers_regression_target",
    "check_supervised_y_2d",
)
# Their data are few rows of noise.
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def check_name(check):
    return (check.func if isinstance(check, partial) else check).__name__


@unconverged
@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(estimator, check, id=f"{name} {check_name(check)}")
        for name, one in ESTIMATORS.items()
        for estimator, check in estimator_checks_generator(one)
        if check_name(check) in OFTEN and check_name(check) not in EXPECTED[name]
    ],
)
def test_the_most_telling_checks_of_scikit_learn_pass(estimator, check, wrong_types):
    check(estimator)


@pytest.mark.slow
@unconverged
@pytest.mark.parametrize("name", ESTIMATORS)
def test_all_checks_of_scikit_learn_pass_but_those_expected_to_fail(name, wrong_types):
    found = check_estimator(ESTIMATORS[name], expected_failed_checks=EXPECTED[name], on_fail=None, on_skip=None)
    failed = {one["check_name"]: one["exception"] for one in found if one["status"] == "failed"}
    assert not failed
    assert {one["check_name"] for one in found if one["status"] == "xfail"} == set(EXPECTED[name])
    assert sum(one["status"] == "passed" for one in found) > 35


# Mixtures beside scikit-learn's


def as_theirs(ours):
    """scikit-learn's mixture started from the parameters of ours."""
    kind, covs = ours.covariance_type, ours.covariances_
    return GaussianMixture(
        ours.n_components,
        covariance_type=kind,
        weights_init=ours.weights_,
        means_init=ours.means_,
        precisions_init=np.linalg.inv(covs) if kind in ("full", "tied") else 1 / covs,
        tol=1e-11,
        max_iter=10_000,
        random_state=0,
    )


def same_parameters(ours):
    """scikit-learn's mixture at the parameters of ours."""
    theirs = as_theirs(ours)
    theirs.weights_, theirs.means_, theirs.covariances_ = ours.weights_, ours.means_, ours.covariances_
    theirs.precisions_cholesky_ = _compute_precision_cholesky(ours.covariances_, ours.covariance_type)
    return theirs


@covariances
def test_numbers_of_a_mixture_are_those_of_scikit_learn(kind):
    ours = jl.sklearn.GaussianMixture(3, covariance_type=kind, random_state=0).fit(series())
    theirs, new = same_parameters(ours), series(seed=1, rows=50)
    assert ours.converged_ and 1 < ours.n_iter_ < 100
    assert all(getattr(ours, name).dtype == np.float64 for name in ("weights_", "means_", "covariances_"))
    np.testing.assert_allclose(ours.weights_.sum(), 1.0, rtol=1e-15)
    for method in ("score_samples", "predict_proba", "score", "bic", "aic"):
        np.testing.assert_allclose(getattr(ours, method)(new), getattr(theirs, method)(new), **CLOSE)
    np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))
    np.testing.assert_allclose(ours.lower_bound_, theirs.score(series()), **CLOSE)
    np.testing.assert_array_equal(clone(ours).fit_predict(series()), ours.predict(series()))


@covariances
def test_a_mixture_has_the_optimum_of_scikit_learn(kind, x64):
    ours = jl.sklearn.GaussianMixture(3, covariance_type=kind, tol=1e-11, max_iter=5000, random_state=0).fit(series())
    theirs = as_theirs(ours).fit(series())
    np.testing.assert_allclose(ours.score(series()), theirs.score(series()), rtol=1e-9)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-4)
    # And it is the one that they find by themselves.
    alone = GaussianMixture(3, covariance_type=kind, tol=1e-9, max_iter=5000, n_init=5, random_state=0).fit(series())
    np.testing.assert_allclose(ours.score(series()), alone.score(series()), rtol=1e-6)


@covariances
def test_reg_covar_is_added_to_variances_as_in_scikit_learn(kind, x64):
    # Two points, each many times: within its component nothing varies.
    rows = np.repeat([[0.0, 0.0], [5.0, 5.0]], 20, 0)
    ours = jl.sklearn.GaussianMixture(2, covariance_type=kind, reg_covar=0.01, random_state=0).fit(rows)
    theirs = GaussianMixture(2, covariance_type=kind, reg_covar=0.01, random_state=0).fit(rows)
    np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-6, atol=1e-9)
    assert ours.converged_ and theirs.converged_


def test_draws_of_a_mixture_have_its_moments_and_come_by_component():
    ours = jl.sklearn.GaussianMixture(3, covariance_type="full", random_state=0).fit(series())
    rows, labels = ours.sample(4000)
    assert (np.diff(labels) >= 0).all()
    for k in range(3):
        own = rows[labels == k]
        assert abs(len(own) / 4000 - ours.weights_[k]) < 4 * np.sqrt(0.25 / 4000)
        errors = np.sqrt(np.diag(ours.covariances_[k]) / len(own))
        assert (np.abs(own.mean(0) - ours.means_[k]) < 4 * errors).all()
        # The standard error of a correlation is below 1 / sqrt(n).
        theirs = ours.covariances_[k][0, 1] / np.sqrt(np.prod(np.diag(ours.covariances_[k])))
        assert abs(np.corrcoef(own.T)[0, 1] - theirs) < 4 / np.sqrt(len(own))
    np.testing.assert_array_equal(ours.sample(5)[0], ours.sample(5)[0])
    with pytest.raises(ValueError, match="at least one"):
        ours.sample(0)


# Hidden Markov models beside hmmlearn's


def hmmlearn_at(ours, **settings):
    """hmmlearn's model at the parameters of ours; without priors its estimates are maximum likelihood."""
    flat = {"covars_prior": 0.0, "covars_weight": 0.0, "init_params": ""}
    theirs = hmmlearn.GaussianHMM(ours.n_components, ours.covariance_type, **flat, **settings)
    theirs.startprob_, theirs.transmat_ = ours.startprob_, ours.transmat_
    theirs.means_, theirs.covars_ = ours.means_, ours.covariances_
    theirs.n_features = 2
    return theirs


@covariances
def test_numbers_of_a_hidden_markov_model_are_those_of_hmmlearn(kind):
    rows = series()
    ours = jl.sklearn.GaussianHMM(3, covariance_type=kind, random_state=0).fit(rows, lengths=LENGTHS)
    theirs = hmmlearn_at(ours)
    assert ours.converged_ and 1 < ours.n_iter_ < 500
    np.testing.assert_allclose(ours.covars_, theirs.covars_, rtol=1e-12)
    for lengths in (None, LENGTHS):
        np.testing.assert_allclose(ours.score(rows, lengths=lengths), theirs.score(rows, lengths), **CLOSE)
        np.testing.assert_allclose(ours.predict_proba(rows, lengths), theirs.predict_proba(rows, lengths), **CLOSE)
        for algorithm in ("viterbi", "map"):
            log_prob, states = ours.decode(rows, lengths, algorithm)
            expected, path = theirs.decode(rows, lengths, algorithm)
            np.testing.assert_array_equal(states, path)
            if algorithm == "viterbi":  # theirs of "map" adds up probabilities
                np.testing.assert_allclose(log_prob, expected, **CLOSE)
        np.testing.assert_allclose(ours.bic(rows, lengths), theirs.bic(rows, lengths), **CLOSE)
        np.testing.assert_allclose(ours.aic(rows, lengths), theirs.aic(rows, lengths), **CLOSE)
    assert ours.score(rows) != ours.score(rows, lengths=LENGTHS)
    np.testing.assert_array_equal(ours.predict(rows, LENGTHS), ours.decode(rows, LENGTHS)[1])
    total, probs = ours.score_samples(rows, LENGTHS)
    assert total == ours.score(rows, lengths=LENGTHS)
    np.testing.assert_array_equal(probs, ours.predict_proba(rows, LENGTHS))
    np.testing.assert_allclose(ours.lower_bound_, total / 300, **CLOSE)


@covariances
def test_a_hidden_markov_model_has_the_optimum_of_hmmlearn(kind, x64):
    rows = series()
    ours = jl.sklearn.GaussianHMM(
        3, covariance_type=kind, reg_covar=0.0, tol=1e-11, max_iter=5000, n_init=3, random_state=0
    ).fit(rows, lengths=LENGTHS)
    theirs = hmmlearn_at(ours, n_iter=5000, tol=1e-9).fit(rows, LENGTHS)
    for name in ("startprob_", "transmat_", "means_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-4)
    covs = theirs._covars_[:, 0] if kind == "spherical" else theirs._covars_
    np.testing.assert_allclose(ours.covariances_, covs, atol=1e-4)


def test_draws_of_a_hidden_markov_model_have_its_transitions():
    ours = jl.sklearn.GaussianHMM(3, covariance_type="full", random_state=0).fit(series(), lengths=LENGTHS)
    rows, states = ours.sample(5000, random_state=1)
    assert rows.shape == (5000, 2)
    counts = np.zeros((3, 3))
    np.add.at(counts, (states[:-1], states[1:]), 1)
    size = counts.sum(1, keepdims=True)
    assert (np.abs(counts / size - ours.transmat_) < 4 * np.sqrt(0.25 / size)).all()
    for k in range(3):
        own = rows[states == k]
        assert (np.abs(own.mean(0) - ours.means_[k]) < 4 * np.sqrt(np.diag(ours.covars_[k]) / len(own))).all()
    assert ours.sample(3, random_state=0, currstate=2)[1][0] == 2
    np.testing.assert_array_equal(ours.sample(9)[1], ours.sample(9)[1])
    with pytest.raises(ValueError, match="at least one"):
        ours.sample(0)


@pytest.mark.parametrize("lengths", [[100, 100], [150, 151], [300, 0], [150.0, 150.0], [[300]], [-1, 301]])
def test_lengths_that_do_not_add_up_are_refused(lengths):
    with pytest.raises(ValueError, match="add up to the 300 rows"):
        jl.sklearn.GaussianHMM(3).fit(series(), lengths=lengths)
    with pytest.raises(ValueError, match="add up to the 600 rows"):
        jl.sklearn.GLMHMM(2).fit(*choices()[:2], lengths=lengths)


def test_lengths_in_the_place_of_y_are_refused():
    with pytest.raises(ValueError, match="lengths="):
        jl.sklearn.GaussianHMM(3).fit(series(), LENGTHS)


# GLM-HMMs


@pytest.fixture(scope="module")
def glm_hmm():
    x, y, _ = choices()
    return jl.sklearn.GLMHMM(2, random_state=0).fit(x, y, lengths=[400, 200])


def test_a_glm_hmm_finds_regressions_and_states(glm_hmm):
    x, y, states = choices()
    first = int(abs(glm_hmm.coef_[1, 0]) > abs(glm_hmm.coef_[0, 0]))
    order = [first, 1 - first]
    assert glm_hmm.classes_.tolist() == ["left", "right"]
    # The truth, to some four standard errors of regressions on 300 rows whose states are mostly known.
    np.testing.assert_allclose(glm_hmm.coef_[order], [[4.0, 0.0], [0.0, -3.0]], atol=2.0)
    np.testing.assert_allclose(glm_hmm.intercept_[order], [0.0, 1.0], atol=1.0)
    _, path = glm_hmm.decode(x, y, [400, 200])
    assert (np.array(order)[states] == path).mean() > 0.85
    np.testing.assert_array_equal(
        glm_hmm.decode(x, y, [400, 200], algorithm="map")[1], glm_hmm.state_proba(x, y, [400, 200]).argmax(1)
    )
    assert glm_hmm.converged_ and glm_hmm.score(x, y, lengths=[400, 200]) > 0.6
    np.testing.assert_allclose(glm_hmm.lower_bound_, glm_hmm.log_likelihood(x, y, [400, 200]) / 600, **CLOSE)


def test_probabilities_of_a_glm_hmm_are_sums_over_all_paths(glm_hmm):
    x, y, _ = choices()
    x, codes, lengths = x[:5], (y[:5] == "right").astype(int), [3, 2]
    right = 1 / (1 + np.exp(-(x @ glm_hmm.coef_.T + glm_hmm.intercept_)))
    seen = np.where(codes[:, None] == 1, right, 1 - right)
    total, best, classes, posterior = 0.0, 0.0, [], []
    for first, stop in ((0, 3), (3, 5)):
        joint, prior = {}, {}
        for path in product((0, 1), repeat=stop - first):
            steps = pairwise(path)
            prior[path] = glm_hmm.startprob_[path[0]] * np.prod([glm_hmm.transmat_[step] for step in steps])
            joint[path] = prior[path] * np.prod([seen[first + t, k] for t, k in enumerate(path)])
        evidence = sum(joint.values())
        total, best = total + np.log(evidence), best + np.log(max(joint.values()))
        for t in range(stop - first):
            at = lambda weights, k, t=t: sum(weight for path, weight in weights.items() if path[t] == k)
            posterior.append([at(joint, k) / evidence for k in (0, 1)])
            classes.append(sum(at(prior, k) * right[first + t, k] for k in (0, 1)))
    np.testing.assert_allclose(glm_hmm.log_likelihood(x, y[:5], lengths), total, rtol=1e-5)
    np.testing.assert_allclose(glm_hmm.decode(x, y[:5], lengths)[0], best, rtol=1e-5)
    np.testing.assert_allclose(glm_hmm.state_proba(x, y[:5], lengths), posterior, atol=1e-5)
    np.testing.assert_allclose(glm_hmm.predict_proba(x, lengths)[:, 1], classes, rtol=1e-12)
    # Free parameters: 1 initial, 2 transitions, and 2 coefficients and an intercept in each state.
    np.testing.assert_allclose(glm_hmm.bic(x, y[:5], lengths), -2 * total + 9 * np.log(5), rtol=1e-5)
    np.testing.assert_allclose(glm_hmm.aic(x, y[:5], lengths), -2 * total + 18, rtol=1e-5)


def test_the_criteria_of_a_glm_hmm_of_one_state_are_those_of_logistic_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y = (x @ rng.normal(size=(3, 3)) + rng.gumbel(size=(200, 3))).argmax(1)
    ours, theirs = (
        jl.sklearn.GLMHMM(1, prior_scale=100.0, n_init=1, random_state=0).fit(x, y),
        LogisticRegression(C=1e4, tol=1e-8).fit(x, y),
    )
    log_likelihood = theirs.predict_log_proba(x)[np.arange(200), y].sum()
    found = ours.result_.best().criteria()
    # Coefficients of 3 inputs and an intercept, for all classes but one.
    assert found["free_parameters"] == 8
    for bic in (found["bic"], ours.bic(x, y)):
        np.testing.assert_allclose(bic, -2 * log_likelihood + 8 * np.log(200), rtol=1e-4)
    np.testing.assert_allclose([found["aic"], ours.aic(x, y)], -2 * log_likelihood + 16, rtol=1e-4)


def test_choices_drawn_from_a_glm_hmm_have_its_probabilities(glm_hmm):
    at = np.tile([[0.5, -0.2], [-1.0, 1.0]], (2000, 1))
    y, states = glm_hmm.sample(at, lengths=np.full(2000, 2), random_state=3)
    probs = glm_hmm.predict_proba(at[:2], [2])[:, 1]
    limit = 4 * np.sqrt(0.25 / 2000)
    for row in (0, 1):
        assert abs((y[row::2] == "right").mean() - probs[row]) < limit
    assert abs((states[::2] == 1).mean() - glm_hmm.startprob_[1]) < limit


@pytest.mark.parametrize("case", often([(2, True), (2, False), (3, True), (3, False)], {(2, True), (3, False)}))
def test_one_state_is_logistic_regression(case, x64):
    classes, fit_intercept = case
    x, y, _ = choices()
    y = np.where(np.arange(600) % classes == 2, "pass", y)
    settings = {"fit_intercept": fit_intercept}
    ours = jl.sklearn.GLMHMM(1, prior_scale=1e3, tol=1e-10, n_init=1, random_state=0, **settings).fit(x, y)
    theirs = LogisticRegression(C=1e6, tol=1e-10, max_iter=1000, **settings).fit(x, y)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    # Our prior holds for intercepts too; with this scale it is worth 1e-6 of a nat per squared unit.
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-5)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    assert ours.score(x, y) == theirs.score(x, y)
    coefficients = ours.coef_[0] if classes == 3 else ours.coef_
    np.testing.assert_allclose(coefficients, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(np.ravel(ours.intercept_), np.ravel(theirs.intercept_), atol=1e-4)
    free = (2 + fit_intercept) * (classes - 1)
    np.testing.assert_allclose(ours.aic(x, y), -2 * ours.log_likelihood(x, y) + 2 * free)


def test_unknown_classes_and_a_single_class_are_refused(glm_hmm):
    x, y, _ = choices()
    with pytest.raises(ValueError, match="'up'"):
        glm_hmm.state_proba(x, np.where(y == "left", "up", y))
    with pytest.raises(ValueError, match="one class"):
        jl.sklearn.GLMHMM(2).fit(x, np.full(600, "left"))


# As any estimator of scikit-learn


def test_searches_pipelines_copies_and_frames():
    frame = pd.DataFrame(series(), columns=["length", "width"])
    pipeline = make_pipeline(StandardScaler(), jl.sklearn.GaussianMixture(random_state=0)).set_output(
        transform="pandas"
    )
    search = GridSearchCV(pipeline, {"gaussianmixture__n_components": [1, 3]}, cv=2).fit(frame)
    assert search.best_params_ == {"gaussianmixture__n_components": 3}
    found = search.best_estimator_[-1]
    assert found.feature_names_in_.tolist() == ["length", "width"] and found.n_features_in_ == 2
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copy.predict_proba(frame), search.predict_proba(frame))
    assert isinstance(found.result_, jl.Result)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame.rename(columns={"width": "height"}))
    with pytest.raises(NotFittedError):
        clone(found).predict(frame)


def test_a_random_state_is_a_seed_or_a_stream():
    def seed(state):
        fitted = jl.sklearn.GaussianMixture(3, covariance_type="full", random_state=state).fit(series())
        return fitted.result_.provenance.seed

    stream = np.random.RandomState(0)
    seeds = [seed(0), seed(1), seed(stream), seed(stream), seed(None), seed(None)]
    assert len(set(seeds)) == 5 and seeds[0] == seeds[2]
    np.random.seed(0)
    assert seed(0) == seeds[0] and seed(None) == seeds[0]


def test_a_fit_that_does_not_converge_warns_and_can_be_used():
    with pytest.warns(ConvergenceWarning, match="MAX_ITERATIONS"):
        stopped = jl.sklearn.GaussianMixture(3, covariance_type="full", max_iter=2, tol=1e-9, random_state=0).fit(
            series()
        )
    assert not stopped.converged_ and stopped.n_iter_ == 2
    assert np.isfinite(stopped.score(series()))


def test_more_components_than_different_rows_are_warned_of_and_can_be_used():
    rows = np.ones((20, 2))
    with pytest.warns(ConvergenceWarning, match="choose fewer components"):
        crowded = jl.sklearn.GaussianMixture(3, covariance_type="full", random_state=0).fit(rows)
    assert not crowded.converged_ and crowded.result_.status[0] == jl.Status.DEGENERATE
    assert np.isfinite(crowded.score(rows)) and len(np.unique(crowded.predict(rows))) == 1


def test_a_component_without_any_row_keeps_its_parameters():
    rows, weights = jnp.asarray(series(rows=20)), jnp.ones((20, 1)) * jnp.array([1.0, 0.0])
    p = Namespace(
        "parameter", {"means": jnp.array([[0.0, 1.0], [7.0, 8.0]]), "covs": jnp.array([[1.0, 1.0], [2.0, 3.0]])}
    )
    for name, update in normals("diag", 2, 0.0).m_step().items():
        updated = update(p, Namespace("data", {"y": rows}), Expected(jnp.zeros(()), weights))
        np.testing.assert_array_equal(updated[1], p[name][1])
        assert np.isfinite(updated[0]).all() and not np.isclose(updated[0], p[name][0]).any()


def test_the_best_initialisation_is_the_highest_that_did_not_fail(wrong_types):
    ended = lambda *lanes: _best_lane(
        SimpleNamespace(objective=np.array([one[0] for one in lanes]), status=np.array([one[1] for one in lanes]))
    )
    good, bad = jl.Status.CONVERGED, jl.Status.DEGENERATE
    assert ended((-3.0, good), (-1.0, bad), (-2.0, good), (np.nan, jl.Status.NON_FINITE)) == 2
    assert ended((-3.0, bad), (-1.0, bad), (np.nan, jl.Status.NON_FINITE)) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": 1000}, "n_samples = 300"),
        ({"n_init": 1.5}, "n_init"),
        ({"max_iter": 0}, "max_iter"),
        ({"tol": -1.0}, "tol"),
        ({"reg_covar": -1.0}, "reg_covar"),
        ({"covariance_type": "round"}, "covariance_type"),
    ],
)
@pytest.mark.parametrize("name", ["GaussianMixture", "GaussianHMM"])
def test_settings_out_of_range_are_named(name, settings, said, wrong_types):
    with pytest.raises(ValueError, match=said):
        getattr(jl.sklearn, name)(**settings).fit(series())


def test_an_origin_far_away_costs_evaluations_no_precision():
    # In 32 bits 1e6 is known to 0.06, and the fit says so; evaluations are relative to the components.
    rows, far = series(), np.array([1e6, -1e6])
    near = jl.sklearn.GaussianMixture(3, covariance_type="full", random_state=0).fit(rows)
    moved = clone(near).fit(rows)
    moved.means_ = near.means_ + far
    np.testing.assert_allclose(moved.score_samples(rows + far), near.score_samples(rows), **CLOSE)


def test_scikit_learn_is_imported_late_and_missed_in_words():
    program = """
import sys
import jaxlatent as jl
assert "sklearn" not in sys.modules and "sklearn" in dir(jl)
sys.modules["sklearn"] = None
try:
    jl.sklearn
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert "pip install 'jaxlatent[sklearn]'" in done.stdout, done.stderr
