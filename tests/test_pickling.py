"""Models, posteriors and results cross the border of a process, as they are: by pickle, by workers that spawn, by joblib; and threads."""

import concurrent.futures
import copy
import json
import multiprocessing
import pickle
import subprocess
import sys
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest

import jaxlatent as jl
from jaxlatent.model.recipes import model_of, recipe_of
from jaxlatent.models import emissions

Y = np.array([0.0, 0.3, 4.0, 4.2, 0.1, 3.9, -0.2, 4.1], np.float32)
MODELS = {
    "mixture": lambda: jl.models.gaussian_mixture(2, None),
    "hmm": lambda: jl.models.hmm(2, emissions.Gaussian()),
    "regressions": lambda: jl.models.regression_mixture(2, 1),
    "experts": lambda: jl.models.mixture_of_experts(2, 1),
    "network": lambda: jl.models.mixture_density_network(2, 1, hidden=(3,)),
    "fixed": lambda: jl.fix(jl.models.gaussian_mixture(2, None), means=np.array([0.0, 4.0])),
    "tied": lambda: jl.tie(jl.models.gaussian_mixture(2, None), covs=[0, 0]),
}


def hand_written():
    return jl.Model({"mu": dist.Normal(0.0, 10.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand([8])})


@dataclass(frozen=True)
class Unknown(emissions.Gaussian):
    """A part of another package."""


def normal(y):
    numpyro.sample("y", dist.Normal(numpyro.sample("mu", dist.Normal(0.0, 10.0)), 1.0).expand([8]), obs=y)


def density(p, y):
    return -jnp.sum((p["mu"] - y) ** 2)


def again(value):
    return pickle.loads(pickle.dumps(value))


def fitted(model=None):
    return jl.fit(model or MODELS["mixture"](), {"y": Y}, jl.EM(restarts=2, max_iter=20), 0)


def mean_of(result):
    """What a worker does: go on from a result."""
    return float(result.best().score())


@pytest.fixture(scope="module")
def result():
    return fitted()


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_ready_families_stay_what_they_are(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    model = make()
    back = again(model)
    assert back == model == make() and hash(back) == hash(model)
    assert list(back.prior) == list(model.prior) and back.name == model.name


PARTS = jl.models.Stationary(stickiness=3.0), jl.models.Initial(concentration=1.0)
GLM_HMM = jl.models.hmm(2, emissions.BernoulliRegression(2, prior_scale=2.0), *PARTS)
FAMILIES = {name: make() for name, make in MODELS.items() if name not in ("fixed", "tied")} | {
    "parts": GLM_HMM,
    "groups": jl.models.hierarchical(GLM_HMM, over="animal", num_groups=3, coordinates=jl.informed),
}


@pytest.mark.parametrize("model", FAMILIES.values(), ids=FAMILIES)
def test_ready_families_are_made_again_from_json(model):
    assert model_of(json.loads(json.dumps(recipe_of(model)))) == model


def test_what_is_no_family_has_no_recipe():
    for model in (hand_written(), MODELS["fixed"](), jl.models.hmm(2, Unknown())):
        assert recipe_of(model) is None
    for name in ("os:getcwd", "jaxlatent.results.saving:save", "jaxlatent.models.families:Path", "jaxlatent.models:x"):
        assert model_of({"call": name, "args": {"tuple": []}, "kwargs": {}}) is None
    assert model_of({**recipe_of(GLM_HMM), "kwargs": {"new": 1}}) is None
    assert model_of(None) is None


def test_results_of_ready_families_need_nothing_else(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    back = again(result)
    assert back.posterior.density == result.posterior.density
    np.testing.assert_array_equal(back.best().smooth()["y"], result.best().smooth()["y"])
    batch = jl.batch({"a": {"y": Y}, "b": {"y": [np.nan]}})
    assert again(batch).names == ("a", "b") and "not finite" in str(again(batch).problems["b"])
    assert again(jl.condition(MODELS["mixture"](), jl.batch([{"y": Y}]))).names == (0,)


@pytest.mark.parametrize(
    "make",
    [
        lambda: jl.condition(hand_written(), {"y": Y}),
        lambda: jl.from_numpyro(normal, Y),
        lambda: jl.from_numpyro(lambda y: normal(y), Y),
        lambda: jl.from_log_density(density, {"mu": 0.0}, args=(Y,)),
        lambda: jl.from_log_density(lambda p, y: density(p, y), {"mu": 0.0}, args=(Y,)),
    ],
)
def test_functions_without_a_name_go_by_value(make):
    posterior = make()
    back = again(posterior)
    at = jnp.array([0.5])
    np.testing.assert_array_equal(back.log_density(at), posterior.log_density(at))


def test_without_cloudpickle_a_model_written_by_hand_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(jl.InputError, match="pip install cloudpickle"):
        pickle.dumps(hand_written())


def test_a_model_is_its_own_copy():
    model = MODELS["mixture"]()
    assert copy.deepcopy(model) is model and copy.copy(model) is model


def test_what_was_changed_afterwards_is_not_what_the_family_makes():
    """In a process of its own: functions inside functions, wrapped by the type checker of the tests, cannot be pickled."""
    program = """
import dataclasses, pickle, jaxlatent as jl
model = dataclasses.replace(jl.models.gaussian_mixture(2, None), name="other")
assert pickle.loads(pickle.dumps(model)).name == "other"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_optimisers_go_by_value():
    engine = jl.Optimize(optimizer=optax.adam(1e-2), max_iter=3)
    assert again(engine) == engine
    fit = jl.fit(jl.from_log_density(density, {"mu": 0.0}, args=(Y,)), None, engine, 0)
    np.testing.assert_array_equal(again(fit).params["mu"], fit.params["mu"])


def test_errors_come_home_from_a_worker():
    error = again(jl.InputError("this", got="a", expected="b", remedy="c"))
    assert isinstance(error, jl.InputError) and error.remedy == "c" and "expected: b" in str(error)


def test_threads_fit_side_by_side(result):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fitted(), range(4)))
    for one in found:
        np.testing.assert_array_equal(one.params["means"], result.params["means"])


def test_a_worker_that_is_spawned_fits_and_goes_on_from_results(result):
    # Unlike `multiprocessing.Pool`, it does not wait for ever for a worker that cannot start.
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        theirs = pool.submit(fitted, result.posterior.density.model).result()
        assert abs(pool.submit(mean_of, result).result() - mean_of(result)) < 1e-4
    assert theirs.posterior.density == result.posterior.density
    np.testing.assert_allclose(theirs.params["means"], result.params["means"], rtol=1e-4, atol=1e-4)


def test_joblib_takes_models_written_by_hand(result):
    joblib = pytest.importorskip("joblib")
    work = lambda model, fit: (jl.condition(model, {"y": Y}), mean_of(fit))
    ((posterior, mean),) = joblib.Parallel(n_jobs=2, backend="loky")([joblib.delayed(work)(hand_written(), result)])
    assert abs(mean - mean_of(result)) < 1e-4
    at = jnp.array([0.5])
    np.testing.assert_allclose(
        posterior.log_density(at), jl.condition(hand_written(), {"y": Y}).log_density(at), rtol=1e-5
    )
