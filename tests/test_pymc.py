"""A PyMC model through `jl.from_pymc` is PyMC's: density, gradient, coordinates, names and posterior; its data are traced."""

import os
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from monte_carlo import check_same
from scipy import stats

import jaxlatent as jl

pm = pytest.importorskip("pymc")

import pymc_models as models  # noqa: E402 (which imports PyMC)
from pytensor.compile.mode import Mode  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS"),
    pytest.mark.filterwarnings("ignore:Data in .* contains missing values"),
]
FORMER = pm.__version__.startswith("5.")
PYTHON = Mode("py", "fast_compile")
NUTS = jl.NUTS(chains=2, warmup=300, draws=300)


@pytest.fixture(scope="module", params=models.MODELS, ids=lambda build: build.__name__)
def model(request):
    return request.param()


@pytest.fixture(scope="module")
def theirs(model):
    """PyMC's log density and gradient, computed in Python."""
    return model.compile_logp(mode=PYTHON), model.compile_dlogp(mode=PYTHON)


def points(model, count=3):
    """Points around a start, as PyMC and as jaxlatent have them."""
    posterior = jl.from_pymc(model)
    shapes = posterior.density.shapes
    for i in range(count):
        position = np.asarray(posterior.initial_position(jax.random.key(i)), float)
        parts = np.split(position, np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1])
        values = zip(model.value_vars, parts, shapes, strict=True)
        yield {v.name: part.reshape(shape) for v, part, shape in values}, position


def test_log_density_and_gradient_are_pymcs(model, theirs, x64):
    density, gradient = theirs
    posterior = jl.from_pymc(model)
    ours = jax.jit(jax.value_and_grad(lambda posterior, z: posterior.log_density(z), 1))
    for point, position in points(model):
        value, slope = ours(posterior, jnp.asarray(position))
        assert value.dtype == slope.dtype == "float64"
        # PyTensor computes functions of small integer constants in 32 bits, where JAX has 64.
        np.testing.assert_allclose(value, density(point), rtol=1e-8)
        np.testing.assert_allclose(slope, gradient(point), rtol=1e-7, atol=1e-7)


def test_they_are_in_32_bits_to_the_precision_of_these(model, theirs, x32):
    density, gradient = theirs
    posterior = jl.from_pymc(model)
    ours = jax.jit(jax.value_and_grad(lambda posterior, z: posterior.log_density(z), 1))
    for point, position in points(model):
        value, slope = ours(posterior, jnp.asarray(position, jnp.float32))
        assert value.dtype == slope.dtype == "float32"
        np.testing.assert_allclose(value, density(point), rtol=2e-5)
        exact = gradient(point)
        np.testing.assert_allclose(slope, exact, atol=1e-4 * np.abs(exact).max())


def test_coordinates_and_terms_are_pymcs(model, x64):
    posterior = jl.from_pymc(model)
    density = posterior.density
    named = {v.name: v for v in model.unobserved_value_vars}
    inputs = {"inputs": model.value_vars, "mode": PYTHON, "on_unused_input": "ignore"}
    values = model.compile_fn(list(named.values()), **inputs)
    terms = model.compile_fn(model.logp(model.observed_RVs, sum=False), **inputs)
    constrained = model.compile_logp(jacobian=False, mode=PYTHON)

    @jax.jit
    def computed(posterior, z):
        params, data = posterior.constrain(z), posterior.data
        named = {**params, **density.derived(params, data)}
        pointwise, each = density.log_likelihood(params, data), density.log_densities(z, data, {})
        totals = posterior.log_density(z), posterior.log_density(z, jacobian=False), density.log_prior(params, data)
        return named, posterior.unconstrain(params), pointwise, each, totals

    for point, position in points(model, 1):
        ours, back, pointwise, each, (total, without_jacobian, prior) = computed(posterior, jnp.asarray(position))
        known = dict(zip(named, values(point), strict=True))
        assert set(ours) == {v.name for v in model.unobserved_RVs}
        for name, value in ours.items():
            np.testing.assert_allclose(value, known[name], rtol=1e-9, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(back, position, rtol=1e-9, atol=1e-9)
        assert set(pointwise) == {rv.name for rv in model.observed_RVs}
        for rv, term in zip(model.observed_RVs, terms(point), strict=True):
            np.testing.assert_allclose(pointwise[rv.name], term, rtol=1e-9, atol=1e-12)
        exact = constrained(point)
        np.testing.assert_allclose(without_jacobian, exact, rtol=1e-8)
        np.testing.assert_allclose(prior + sum(term.sum() for term in pointwise.values()), exact, rtol=1e-8)
        np.testing.assert_allclose(sum(each.values()), total, rtol=1e-9)


def test_a_start_is_pymcs_plus_jitter(model, x64):
    posterior = jl.from_pymc(model)
    # In Python, as PyTensor 3 compiles with Numba by default.
    with pm.pytensorf.pytensor.config.change_flags(mode="FAST_COMPILE", linker="py"):
        theirs = np.concatenate([np.ravel(value) for value in model.initial_point().values()])
    jitter = np.stack([posterior.initial_position(jax.random.key(i)) for i in range(20)]) - theirs
    assert (np.abs(jitter) < 1).all() and (np.ptp(jitter, 0) > 1).all()


def test_arrays_of_a_model_are_leaves_and_no_constants(model):
    posterior = jl.from_pymc(model)
    program = jax.make_jaxpr(lambda posterior, z: posterior.log_density(z))(posterior, jnp.zeros(posterior.dim))
    # What is left are places, in observations and of missing ones.
    assert not [x.shape for x in program.consts if jnp.issubdtype(x.dtype, jnp.floating) and x.size > 4]


def traced(monkeypatch):
    """The graphs that are traced from now on."""
    from jaxlatent.posterior.adapters.pymc.graphs import Program

    names, usual = [], Program.evaluate

    def evaluate(self, name, *rest):
        names.append(name)
        return usual(self, name, *rest)

    monkeypatch.setattr(Program, "evaluate", evaluate)
    return names


def test_other_data_of_the_same_shapes_compile_nothing(monkeypatch):
    model = models.logistic()
    first = jl.fit(jl.from_pymc(model), None, NUTS, seed=0)
    names = traced(monkeypatch)
    with model:
        pm.set_data({"x": -models.X})
    second = jl.fit(jl.from_pymc(model), None, NUTS, seed=0)
    assert set(names) == {"start"}, "from_pymc finds out the shapes, and nothing else is traced"
    np.testing.assert_allclose(second.mean()["b"], -first.mean()["b"], atol=0.3)
    assert first.posterior.data["x"][0] == -second.posterior.data["x"][0]


@pytest.mark.skipif(FORMER, reason="PyTensor 2 compares some operations by identity")
@pytest.mark.parametrize("build", models.MODELS, ids=lambda build: build.__name__)
def test_a_second_model_that_differs_in_data_compiles_nothing(build):
    one, two = jl.from_pymc(build()).density, jl.from_pymc(build()).density
    assert one == two and hash(one) == hash(two)


def test_a_second_model_of_other_data_is_another_posterior():
    one, two = jl.from_pymc(models.schools()), jl.from_pymc(models.schools(models.SCHOOLS["y"] + 1))
    assert one.density == two.density
    np.testing.assert_array_equal(two.data["y"] - one.data["y"], 1.0)
    other = models.schools()
    with other:
        pm.Potential("more", other["mu"])
    assert jl.from_pymc(other).density != one.density


def test_the_results_of_a_fit_are_those_of_pymc():
    model = models.schools()
    fit = jl.fit(jl.from_pymc(model), None, NUTS, seed=1)
    idata = fit.to_arviz(predictions=2)
    posterior = idata["posterior"]
    assert set(posterior.data_vars) == {"mu", "tau", "z", "effect"}
    assert posterior["effect"].dims == ("chain", "draw", "school")
    for group in ("observed_data", "constant_data", "log_likelihood", "posterior_predictive"):
        assert list(idata[group].coords["school"].values) == list("ABCDEFGH"), group
    np.testing.assert_array_equal(idata["observed_data"]["y"], models.SCHOOLS["y"])
    np.testing.assert_array_equal(idata["constant_data"]["se"], models.SCHOOLS["se"])
    np.testing.assert_allclose(
        posterior["effect"], posterior["mu"] + posterior["tau"] * posterior["z"], rtol=1e-5, atol=1e-5
    )
    exact = stats.norm.logpdf(models.SCHOOLS["y"], posterior["effect"], models.SCHOOLS["se"])
    np.testing.assert_allclose(fit.log_likelihood()["y"], exact, rtol=1e-4)
    np.testing.assert_allclose(fit.score(), exact.mean(-1), rtol=1e-4)
    assert np.isfinite(fit.loo().elpd) and np.isfinite(fit.waic().elpd)
    residual = (idata["posterior_predictive"]["y"] - posterior["effect"]) / models.SCHOOLS["se"]
    assert stats.kstest(residual.values.ravel(), "norm").pvalue > 1e-4
    with pytest.raises(jl.InputError, match=r"pm\.sample_posterior_predictive"):
        fit.conditional()
    labelled = jl.fit(jl.from_pymc(model), None, NUTS, seed=1, coords={"school": list("STUVWXYZ")})
    assert list(labelled.to_arviz()["posterior"].coords["school"].values) == list("STUVWXYZ")


def test_pymc_predicts_from_the_results():
    model = models.censored()
    fit = jl.fit(jl.from_pymc(model), None, jl.NUTS(chains=2, warmup=200, draws=10), seed=1)
    with pytest.raises(jl.InputError, match=r"pm\.sample_posterior_predictive\(result\.to_arviz\(\), model=model\)"):
        fit.predict(1)
    with pm.pytensorf.pytensor.config.change_flags(mode="FAST_COMPILE", linker="py"):
        drawn = pm.sample_posterior_predictive(fit.to_arviz(), model=model, progressbar=False, random_seed=1)
    drawn = drawn["posterior_predictive"]
    assert drawn["y"].shape == (2, 10, 40) and (drawn["y"] <= 1.5).all() and (drawn["z"] >= 0).all()


def test_predictions_at_other_inputs():
    model = models.logistic()
    fit = jl.fit(jl.from_pymc(model), None, NUTS, seed=0)
    far = fit.predict(1, {"x": np.array([-100.0, 100.0]), "outcomes": np.array([0, 0])})["y"]
    assert far.shape == (2, 300, 2) and far.dtype.kind == "i"
    assert far[..., 0].mean() < 0.1 and far[..., 1].mean() > 0.9
    terms = fit.log_likelihood({"x": -models.X})["y"]
    np.testing.assert_allclose(terms, stats.bernoulli.logpmf(
        models.CHOICES, 1 / (1 + np.exp(-(fit.params["a"][..., None] - fit.params["b"][..., None] * models.X)))
    ), rtol=1e-3, atol=1e-4)  # fmt: skip
    with pytest.raises(jl.InputError, match="did you mean 'outcomes'"):
        fit.predict(1, {"outcome": np.zeros(3)})
    with pytest.raises(jl.InputError, match="shapes that go together"):
        fit.log_likelihood({"x": np.zeros(3)})


@pytest.mark.parametrize("build", models.MODELS, ids=lambda build: build.__name__)
def test_every_prediction_has_the_shape_of_its_observation(build):
    if build is models.censored:
        pytest.skip("PyTensor does not draw from truncated distributions in JAX")
    posterior = jl.from_pymc(build())
    params = posterior.constrain(posterior.initial_position(jax.random.key(0)))
    drawn = posterior.density.sample_observed(jax.random.key(1), params, posterior.data)
    again = posterior.density.sample_observed(jax.random.key(2), params, posterior.data)
    for name, value in drawn.items():
        observed = posterior.density.observation(name, params, posterior.data)
        assert value.shape == observed.shape and jnp.isfinite(value).all()
        assert value.dtype.kind == observed.dtype.kind and (value != again[name]).any()


def test_a_batch_is_a_batch():
    model = models.logistic()
    batch = jl.batch({name: {"x": sign * models.X, "outcomes": models.CHOICES} for name, sign in (("a", 1), ("b", -1))})
    posterior = jl.from_pymc(model, batch)
    fit = jl.fit(posterior, None, NUTS, seed=0)
    assert fit.names == ("a", "b") and fit.params["b"].shape == (2, 2, 300)
    alone = jl.fit(jl.from_pymc(model), None, NUTS, seed=0)
    np.testing.assert_allclose(fit.mean()["b"], [alone.mean()["b"], -alone.mean()["b"]], atol=0.3)
    assert fit.predict(1)["y"].shape == (2, 2, 300, 40) and fit.loo().loc["b", "n_observations"] == 40
    assert fit["b"].to_arviz()["constant_data"]["x"].shape == (40,)
    at = {name: {"x": np.zeros(2), "outcomes": np.zeros(2, int)} for name in "ab"}
    assert fit.predict(1, jl.batch(at))["y"].shape == (2, 2, 300, 2)
    common = jl.from_pymc(model, jl.batch([{"x": models.X}, {"x": models.X}]))
    np.testing.assert_array_equal(common.data["outcomes"], np.stack([models.CHOICES] * 2))
    with pytest.raises(jl.InputError, match="did you mean 'x'"):
        jl.from_pymc(model, jl.batch([{"X": models.X}]))
    with pytest.raises(jl.InputError, match="1 axes, as in the model"):
        jl.from_pymc(model, jl.batch([{"x": np.zeros((40, 2))}]))
    with pytest.raises(jl.InputError, match="masked"):
        jl.from_pymc(model, jl.batch([{"x": models.X}, {"x": models.X[:5]}]))


def test_other_engines_fit_it_too():
    model = models.logistic()
    points = jl.fit(jl.from_pymc(model), None, jl.Optimize(restarts=2), seed=0)
    slope = points.best().params
    grad = jax.grad(lambda z: points.posterior.log_density(z, jacobian=False))(points.posterior.unconstrain(slope))
    np.testing.assert_allclose(grad, 0.0, atol=1e-2)
    assert np.isfinite(points.criteria()["bic"]).all()
    assert np.isfinite(jl.fit(jl.from_pymc(model), None, jl.Laplace(), seed=0).mean()["b"])


def test_infinite_bounds_and_small_arrays():
    y = np.array([0.2, 1.0, 0.4])
    with pm.Model() as model:
        mu = pm.Normal("mu")
        within = pm.TruncatedNormal("within", 0.0, 1.0, lower=np.array([-np.inf, 0.0]), upper=np.inf)
        upper = pm.Data("upper", np.array([np.inf, 1.0, np.inf]))
        pm.Censored("y", pm.Normal.dist(mu + within.sum(), 1.0), lower=None, upper=upper, observed=y)
    posterior, density = jl.from_pymc(model), model.compile_logp(mode=PYTHON)
    for point, position in points(model):
        np.testing.assert_allclose(posterior.log_density(jnp.asarray(position)), density(point), rtol=1e-5)


def test_a_posterior_is_pickled():
    posterior = jl.from_pymc(models.schools())
    back = pickle.loads(pickle.dumps(posterior))
    at = jnp.ones(posterior.dim)
    np.testing.assert_array_equal(back.log_density(at), posterior.log_density(at))


def test_a_run_is_kept_and_read(tmp_path):
    model = models.schools()
    jl.fit(jl.from_pymc(model), None, jl.NUTS(chains=2, warmup=50, draws=20), seed=0, store=tmp_path / "run")
    read = jl.open(tmp_path / "run", jl.from_pymc(models.schools()))
    assert list(read.to_arviz()["posterior"].coords["school"].values) == list("ABCDEFGH")
    assert read.log_likelihood()["y"].shape == (2, 20, 8)


def test_what_cannot_be_fitted_is_refused(wrong_types):
    with pm.Model() as discrete:
        pm.Categorical("label", [0.5, 0.5])
    with pytest.raises(jl.InputError, match=r"free variable 'label'(.|\n)*discrete(.|\n)*pymc_extras.marginalize"):
        jl.from_pymc(discrete)
    with pm.Model() as imputed:
        rate = pm.Exponential("rate", 1.0)
        pm.Poisson("y", rate, observed=np.ma.masked_array([1, 2, 3], [False, True, False]))
    with pytest.raises(jl.InputError, match=r"missing values 'y_unobserved'(.|\n)*leave the missing"):
        jl.from_pymc(imputed)
    with pm.Model() as empty:
        pm.Normal("y", observed=1.0)
    with pytest.raises(jl.InputError, match="no free variables"):
        jl.from_pymc(empty)
    with pytest.raises(jl.InputError, match=r"a pymc\.Model"):
        jl.from_pymc(models.schools)
    with pytest.raises(jl.InputError, match=r"PyMC models with jl\.from_pymc"):
        jl.fit(empty, None, NUTS, seed=0)
    with pm.Model() as minibatch:
        rows = pm.Minibatch(models.LINE, batch_size=8)
        pm.Normal("y", pm.Normal("mu"), 1.0, observed=rows, total_size=40)
    with pytest.raises(jl.InputError, match=r"pm\.Minibatch"):
        jl.from_pymc(minibatch)


def run_python(program):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_neither_precision_nor_devices_of_the_process_change():
    program = """
import os, jax, pymc as pm, jaxlatent as jl
before = os.environ.get("XLA_FLAGS")
with pm.Model() as model:
    pm.Normal("y", pm.Normal("mu"), 1.0, observed=[1.0, 2.0])
jl.from_pymc(model)
print(jax.config.jax_enable_x64, len(jax.devices()), os.environ.get("XLA_FLAGS") == before)
"""
    assert run_python(program).split() == ["False", "1", "True"]


def test_pytensor_still_sets_the_precision_of_the_process():
    assert run_python("import jax, pytensor.link.jax.dispatch; print(jax.config.jax_enable_x64)").split() == ["True"]


@pytest.mark.skipif(not FORMER, reason="PyTensor 3 asks no Python number for its shape")
def test_pytensor_2_still_cannot_put_a_scalar_constant_into_an_array(monkeypatch, x64):
    from jaxlatent.posterior.adapters.pymc import graphs

    monkeypatch.setattr(graphs, "without_scalar_increments", lambda graph: graph)
    monkeypatch.setattr(graphs, "_KNOWN", set())
    with pytest.raises(AttributeError, match="ndim"):
        jl.from_pymc(models.varying())


def test_without_pymc_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymc", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxlatent\[pymc\]'"):
        jl.from_pymc(None)


#: Of the states of `volatility` chains of this length know too little.
SAMPLED = [
    pytest.param(build, id=build.__name__, marks=() if build is models.logistic else pytest.mark.slow)
    for build in models.MODELS
    if build is not models.volatility
]


@pytest.mark.parametrize("build", SAMPLED)
def test_the_posterior_is_that_of_pymcs_own_sampler(build, x64):
    model = build()
    ours = jl.fit(jl.from_pymc(model), None, jl.NUTS(chains=4, warmup=1000, draws=1000, target_accept=0.95), seed=0)
    with model:
        theirs = pm.sample(1000, tune=1000, chains=4, cores=1, random_seed=1, progressbar=False, target_accept=0.95)
    for name, value in {**ours.params, **ours.derived}.items():
        other = theirs["posterior"][name].values
        assert value.shape == other.shape
        if name == "weights":  # labels may switch
            value, other = np.sort(value), np.sort(other)
        # What is always 1, as the diagonal of a correlation matrix, has no Monte Carlo error.
        moving = np.ptp(value, (0, 1)) > 1e-6
        check_same(value[:, :, moving], other[:, :, moving])
