"""Every public method of a result gives a value or one clear error, whatever was fitted, however, and to how many datasets."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest

import jaxlatent as jl

X, Y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, 1.0, 2.5, 2.0])
DATA = {"x": X, "y": Y}
BATCH = jl.batch({"a": DATA, "b": {"x": X, "y": Y + 10}})
MODEL = jl.Model(
    {"level": dist.Normal(0.0, 10.0), "slope": dist.Normal(0.0, 1.0)},
    lambda p, d: {"y": dist.Normal(p.level + p.slope * d.x, 1.0)},
    derived=lambda p, d: {"double": 2 * p.slope},
    name="line",
    key="line",
)


def line(x, y=None, *, scale=1.0):
    level = numpyro.sample("level", dist.Normal(0.0, 10.0))
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    numpyro.deterministic("double", 2 * slope)
    with numpyro.plate("row", len(x)):
        numpyro.sample("out", dist.Normal(level + slope * x, scale), obs=y)


def bare(p, *args):
    data = args[0] if len(args) == 1 else {"x": args[0], "y": args[1]}
    prior = dist.Normal(0.0, 10.0).log_prob(p["level"]) + dist.Normal(0.0, 1.0).log_prob(p["slope"])
    return prior + dist.Normal(p["level"] + p["slope"] * data["x"], 1.0).log_prob(data["y"]).sum()


TEMPLATE = {"level": 0.0, "slope": 0.0}
POSTERIORS = {
    ("model", "one"): lambda: jl.condition(MODEL, DATA),
    ("model", "batch"): lambda: jl.condition(MODEL, BATCH),
    ("numpyro", "one"): lambda: jl.from_numpyro(line, X, y=Y),
    ("numpyro", "batch"): lambda: jl.from_numpyro(line, BATCH, scale=1.0),
    ("bare", "one"): lambda: jl.from_log_density(bare, TEMPLATE, args=(X, Y)),
    ("bare", "batch"): lambda: jl.from_log_density(bare, TEMPLATE, args=BATCH),
}
ENGINES = {"draws": jl.NUTS(chains=2, warmup=100, draws=100), "points": jl.Optimize(restarts=2)}

#: Arguments of the methods that need some.
ARGUMENTS = {
    "align": ({"level": 0.0, "slope": 0.0},),
    "predict": (1,),
    "sample_states": (1,),
    "forecast": (2, 1),
    "select": (["b"],),
    "split_and_merge": (2, 0),
    "standard_errors": (("level", "double"),),
}
METHODS = [
    name
    for name, member in inspect.getmembers(jl.Result)
    # tests/test_store.py is all about saving, tests/test_report_page.py about pages.
    if not name.startswith("_")
    and name not in ("save", "report")
    and (inspect.isfunction(member) or isinstance(member, property))
]
OTHER = {"x": np.array([5.0, 6.0])}


@pytest.fixture(scope="module", params=POSTERIORS, ids="-".join)
def posterior(request):
    return request.param, POSTERIORS[request.param]()


def often(kind, count, engine):
    """Half of all cases, in which everything occurs, run often; the others where there is time."""
    return kind == "numpyro" or (count == "one") == (engine == "draws")


CASES = [
    pytest.param((of, engine), id="-".join([*of, engine]), marks=() if often(*of, engine) else pytest.mark.slow)
    for of in POSTERIORS
    for engine in ENGINES
]


@pytest.fixture(scope="module", params=CASES)
def result(request):
    of, engine = request.param
    return of, jl.fit(POSTERIORS[of](), None, ENGINES[engine], 0)


def answer(call):
    """What a call gives; None for a clear error."""
    try:
        return call()
    except jl.InputError:
        return None


@pytest.mark.parametrize("method", METHODS)
def test_a_method_gives_a_value_or_a_clear_error(result, method):
    if method == "check" and result[0][0] == "model":
        pytest.skip("tests/test_check.py is all about it")

    def call():
        found = getattr(result[1], method)
        return found(*ARGUMENTS.get(method, ())) if callable(found) else found

    answer(call)
    if result[0][1] == "batch":
        answer(lambda: getattr(result[1]["b"], method))
    if callable(getattr(jl.Result, method)) and "data" in inspect.signature(getattr(jl.Result, method)).parameters:
        answer(lambda: getattr(result[1], method)(*ARGUMENTS.get(method, ()), data=OTHER))


def test_what_is_known_of_a_likelihood_is_told_alike(result):
    (kind, count), fit = result
    if kind == "bare":
        for call in (fit.log_likelihood, fit.score, lambda: fit.predict(1), fit.conditional, fit.criteria):
            assert answer(call) is None
        return
    name = {"model": "y", "numpyro": "out"}[kind]
    same = jl.condition(MODEL, BATCH if count == "batch" else DATA)
    lead = fit.positions.shape[:-1]
    terms = fit.log_likelihood()[name]
    mean = np.asarray(fit.params["level"])[..., None] + np.asarray(fit.params["slope"])[..., None] * X
    y = np.asarray(same.data["y"]).reshape(*np.shape(same.data["y"])[:-1], *(1,) * (len(lead) - (count == "batch")), 4)
    np.testing.assert_allclose(terms, -0.5 * (y - mean) ** 2 - 0.5 * np.log(2 * np.pi), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fit.score(), terms.mean(-1), rtol=1e-4)
    assert fit.predict(1)[name].shape == (*lead, 4)
    assert fit.predict(1, data=OTHER)[name].shape == (*lead, 2)
    assert fit.conditional(OTHER).mean().shape[-1] == 2
    one = fit["b"] if count == "batch" else fit
    if fit.has_draws:
        assert np.isfinite(one.loo().elpd) and np.isfinite(one.waic().elpd)
        if count == "batch":
            np.testing.assert_allclose(fit.loo().loc["b", "elpd"], one.loo().elpd, rtol=1e-4)
            np.testing.assert_allclose(fit.waic().loc["b", "se"], one.waic().se, rtol=1e-4)
        idata = fit.to_arviz(predictions=1)
        assert set(idata["observed_data"].data_vars) == set(idata["posterior_predictive"].data_vars) == {name}
        assert set(idata["constant_data"].data_vars) == {"x"}
        np.testing.assert_array_equal(idata["observed_data"][name].values, same.data["y"])
    else:
        assert np.isfinite(fit.criteria()["bic"]).all()


def test_other_data_of_a_batch_are_paired_by_name(result):
    (kind, count), fit = result
    if kind == "bare" or (kind, fit.has_draws) == ("numpyro", True):
        return
    other = lambda names: jl.batch({name: {"x": X + 9 * (name == "b"), "y": Y} for name in names})
    if count == "one":
        assert answer(lambda: fit.log_likelihood(other("ab"))) is None
        return
    name = {"model": "y", "numpyro": "out"}[kind]
    expected = fit.log_likelihood(other("ab"))[name]
    assert (expected[0] != expected[1]).all()
    np.testing.assert_array_equal(fit.log_likelihood(other("ba"))[name], expected)
    nameless = jl.batch([{"x": X, "y": Y}, {"x": X + 9, "y": Y}])
    np.testing.assert_array_equal(fit.log_likelihood(nameless)[name], expected)
    for names in ("ac", "a", "abc"):
        assert answer(lambda names=names: fit.log_likelihood(other(names))) is None


def test_minibatches_know_the_rows_of_a_numpyro_model():
    fit = jl.fit(
        jl.from_numpyro(line, X, Y), None, jl.Optimize(optimizer=optax.adam(0.1), batch_size=2, max_iter=200), 0
    )
    exact = jl.fit(jl.from_numpyro(line, X, Y), None, ENGINES["points"], 0)
    np.testing.assert_allclose(fit.params["slope"], exact.params["slope"][:1], atol=0.5)


def test_a_batch_of_posteriors_is_not_pooled(posterior):
    (_, count), given = posterior
    position = jnp.array([1.0, 2.0])
    if count == "one":
        assert given.names is None and np.isfinite(given.log_density(position))
        return
    assert given.names == ("a", "b")
    calls = {
        "log_density": position,
        "constrain": position,
        "unconstrain": {"level": 0.0, "slope": 0.0},
        "initial_position": jax.random.key(0),
    }
    for method, argument in calls.items():
        with pytest.raises(jl.InputError, match="a batch of 2 datasets"):
            getattr(given, method)(argument)
    each = jax.vmap(lambda one: one.log_density(position))(given)
    alone = [jax.tree.map(lambda x, i=i: x[i], given).log_density(position) for i in range(2)]
    np.testing.assert_allclose(each, alone, rtol=1e-6)


def test_a_batched_posterior_is_fitted_as_its_model_with_the_batch_is():
    engine = ENGINES["draws"]
    model, posterior = jl.fit(MODEL, BATCH, engine, 0), jl.fit(jl.condition(MODEL, BATCH), None, engine, 0)
    assert posterior.names == model.names == ("a", "b")
    jax.tree.map(np.testing.assert_array_equal, posterior.params, model.params)
    theirs = jl.fit(POSTERIORS["numpyro", "batch"](), None, engine, 0)
    for one in (model, theirs):
        np.testing.assert_allclose(one["b"].mean()["level"] - one["a"].mean()["level"], 10.0, atol=1.0)


@pytest.mark.parametrize(
    "coords, word",
    [
        ({"rows": [1]}, "an unknown dimension"),
        ({"row": [1, 2]}, "2 labels"),
        ({"level_dim_0": [1]}, "an unknown dimension"),
    ],
)
def test_labels_that_fit_nothing_are_refused_for_every_posterior(posterior, coords, word):
    (kind, _), given = posterior
    coords = {("y_dim_0" if kind == "model" and dim == "row" else dim): v for dim, v in coords.items()}
    with pytest.raises(jl.InputError, match="an unknown dimension" if kind == "bare" else word):
        jl.fit(given, None, ENGINES["points"], 0, coords=coords)


def test_arguments_go_by_position_or_by_name():
    def spread(*args):
        line(args[0], args[1])

    def only(x, /, y=None):
        line(x, y)

    expected = jl.condition(MODEL, DATA).log_density(jnp.ones(2))
    for given in (
        jl.from_numpyro(line, X, Y),
        jl.from_numpyro(line, X, y=Y),
        jl.from_numpyro(line, y=Y, x=X),
        jl.from_numpyro(spread, X, Y),
        jl.from_numpyro(only, X, Y),
    ):
        np.testing.assert_allclose(given.log_density(jnp.ones(2)), expected, rtol=1e-5)
    for call, word in (
        (lambda: jl.from_numpyro(line, X, z=Y), "unexpected keyword"),
        (lambda: jl.from_numpyro(line, X, y=Y, scale={"a": 1.0}), "a dict"),
        (lambda: jl.from_numpyro(line, BATCH, X), "positional"),
        (lambda: jl.from_numpyro(line, jl.batch([DATA, {"x": X[:3], "y": Y[:3]}])), "masked"),
    ):
        with pytest.raises(jl.InputError, match=word):
            call()


def test_values_outside_their_support_are_refused_for_numpyro_too():
    def counts(y):
        numpyro.sample("y", dist.Poisson(numpyro.sample("rate", dist.Gamma(2.0, 1.0))), obs=y)

    with pytest.raises(jl.InputError, match=r"1 of 2 values outside the support.*\n.*Poisson"):
        jl.fit(jl.from_numpyro(counts, np.array([1, -1])), None, ENGINES["points"], 0)


def test_what_a_numpyro_model_masks_does_not_count():
    def masked(y, seen):
        mu = numpyro.sample("mu", dist.Normal(0.0, 10.0))
        with numpyro.plate("row", 4), numpyro.handlers.mask(mask=seen):
            numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)

    seen = np.array([True, True, False, True])
    fit = jl.fit(jl.from_numpyro(masked, Y, seen), None, ENGINES["draws"], 0)
    assert len(fit.loo().pointwise) == 3
    np.testing.assert_allclose(fit.score(), fit.log_likelihood()["y"].sum(-1) / 3, rtol=1e-5)
    assert np.isnan(fit.to_arviz()["observed_data"]["y"].values).tolist() == [False, False, True, False]
    both = jl.batch([{"y": Y, "seen": seen}, {"y": Y, "seen": ~seen}])
    fit = jl.fit(jl.from_numpyro(masked, both), None, ENGINES["draws"], 0)
    assert fit.waic()["n_observations"].tolist() == [3, 1]
