"""Every bad input is refused on the host, before the engine is compiled, by a message that names it and a remedy."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import jaxlatent as jl
from jaxlatent.execute import programs

pytestmark = pytest.mark.usefixtures("wrong_types")

Y = np.array([0.5, -1.0, 2.0], np.float32)
NUTS = jl.NUTS(chains=2, warmup=0, draws=1)


def normal(**options):
    return jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand([3])}, **options)


def observing(make):
    return jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": make(p, d)})


@pytest.fixture(autouse=True)
def engine_stays_uncompiled(monkeypatch):
    """`advance` is the program that holds the engine: an error that comes after it came too late."""

    def reached(*_, **__):
        raise AssertionError("the engine was reached: the input passed all checks")

    monkeypatch.setattr(programs, "begin", reached)
    monkeypatch.setattr(programs, "advance", reached)


def refused(call, what, *words):
    """``call`` raises `InputError` about ``what``, in four parts, that holds all ``words``."""
    with pytest.raises(jl.InputError) as caught:
        call()
    error, text = caught.value, str(caught.value)
    assert what in error.what, text
    for part in ("got:", "expected:", "remedy:"):
        assert part in text
    assert error.got and error.expected and error.remedy
    for word in words:
        assert str(word) in text, f"{word!r} is not in:\n{text}"


def fit(model, data, engine=NUTS, seed=0, **options):
    return jl.fit(model, data, engine, seed, **options)


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [jl.models.hmm, jl.models.mixture])
def test_a_mask_of_the_entries_of_vectors_is_refused_by_name(family):
    data = {"y": jl.Masked(np.ones((6, 2)), np.eye(6, 2, dtype=bool))}
    model = family(2, jl.models.emissions.Gaussian(2))
    refused(lambda: fit(model, data), "'y', mask", "(6, 2)", "(6,)", "mask.all(-1)")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite(value):
    y = np.zeros((3, 2))
    y[1, 0] = value
    refused(lambda: fit(normal(), {"y": y}), "data 'y'", "1 of 6", "(1, 0)", value)
    refused(lambda: jl.condition(normal(), {"y": y}), "data 'y'", "(1, 0)")
    for use in (fit, jl.condition):
        batch = jl.batch({"first": {"y": Y}, "second": {"y": y}})
        refused(lambda use=use, batch=batch: use(normal(), batch), "dataset 'second', data 'y'", "(1, 0)")


def test_a_wrong_length():
    refused(lambda: fit(normal(), {"y": Y[:2]}), "observation 'y'", "(2,)", "(3,)", "Normal")
    refused(lambda: fit(normal(), {"y": Y[:, None]}), "observation 'y'", "(3, 1)", "(3,)")


def test_no_rows_at_all():
    model = observing(lambda p, d: dist.Normal(p.mu + d.x, 1.0))
    refused(lambda: fit(model, {"y": Y[:0], "x": Y[:0]}), "observation 'y'", "(0,)")


def test_an_observation_that_the_data_lack():
    refused(lambda: fit(normal(), {"Y": Y}), "observation 'y'", "did you mean 'Y'?")
    refused(lambda: fit(normal(), {}), "observation 'y'")
    refused(lambda: fit(normal(), None), "observation 'y'")


def test_a_covariate_that_the_data_lack():
    model = observing(lambda p, d: dist.Normal(p.mu * d.weight, 1.0))
    refused(lambda: fit(model, {"y": Y, "weigth": Y}), "likelihood", "no data 'weight'", "did you mean 'weigth'?")


def test_a_covariate_of_another_length():
    model = observing(lambda p, d: dist.Normal(p.mu * d.x + d.z, 1.0))
    refused(lambda: fit(model, {"y": Y, "x": Y, "z": Y[:2]}), "likelihood", "x: (3,)", "z: (2,)")


@pytest.mark.parametrize(
    "make, values, index, name",
    [
        (lambda p, d: dist.Poisson(jnp.exp(p.mu)).expand([3]), [3, 0, -1], 2, "Poisson"),
        (lambda p, d: dist.Poisson(jnp.exp(p.mu)).expand([3]), [3.0, 1.5, 1.0], 1, "Poisson"),
        (lambda p, d: dist.Binomial(5, logits=p.mu).expand([3]), [0, 6, 5], 1, "Binomial"),
        (lambda p, d: dist.Binomial(np.array([9, 5, 5]), logits=p.mu), [9, 5, -2], 2, "Binomial"),
        (lambda p, d: dist.Bernoulli(logits=p.mu).expand([3]), [0, 1, 2], 2, "Bernoulli"),
        (lambda p, d: dist.Categorical(logits=p.mu * jnp.arange(3)).expand([3]), [3, 0, 1], 0, "Categorical"),
        (lambda p, d: dist.Gamma(jnp.exp(p.mu), 1.0).expand([3]), [1.0, 2.0, -0.5], 2, "Gamma"),
        (lambda p, d: dist.Beta(jnp.exp(p.mu), 1.0).expand([3]), [0.5, 1.5, 0.1], 1, "Beta"),
    ],
    ids=[
        "negative count",
        "count of 1.5",
        "above the total",
        "below zero",
        "Bernoulli 2",
        "category K",
        "negative",
        "above 1",
    ],
)
def test_values_outside_the_support(make, values, index, name):
    refused(
        lambda: fit(observing(make), {"y": values}), "observation 'y'", "1 of 3", f"({index},)", name, values[index]
    )


def test_values_outside_the_support_in_one_dataset_of_a_batch():
    model = observing(lambda p, d: dist.Poisson(jnp.exp(p.mu)).expand([2]))
    data = jl.batch({"good": {"y": [1, 2]}, "bad": {"y": [-4, 2]}})
    refused(lambda: fit(model, data), "observation 'y'", "-4", "bad")


def test_an_event_outside_the_support():
    model = observing(lambda p, d: dist.Dirichlet(jnp.exp(p.mu) * jnp.ones(2)).expand([2]))
    refused(
        lambda: fit(model, {"y": np.array([[0.5, 0.5], [0.9, 0.3]], np.float32)}),
        "observation 'y'",
        "(1,)",
        "Dirichlet",
    )


def test_ragged_data():
    refused(lambda: fit(normal(), {"y": [[1.0, 2.0], [[3.0]]]}), "data 'y'", "rectangular")


@pytest.mark.parametrize("values", [["a", "b", "c"], np.array([None, 1, 2]), {"a": 1.0}, np.array([1j, 0, 1])])
def test_data_that_are_no_numbers(values):
    refused(lambda: fit(normal(), {"y": values}), "data 'y'", "numbers")


def test_data_that_are_no_dict():
    refused(lambda: jl.condition(normal(), Y), "data", "ndarray", "dict")
    refused(lambda: fit(normal(), [{"y": Y}]), "data", "list", "`jl.batch([...])`")


def test_a_name_that_is_no_string():
    refused(lambda: fit(normal(), {"y": Y, 3: Y}), "data 3", "int", "rename")


def test_prior_draws_at_indices_out_of_range():
    prior = {"a": dist.Normal(0.0, 1.0).expand([3]).to_event(1)}
    model = jl.Model(prior, lambda p, d: {"y": dist.Normal(p.a[d.g], 1.0)})
    refused(lambda: jl.sample_prior(model, {"g": [1, 2, 3]}, 3, 0), "data 'g'", "parameter 'a'", "from 1 to 3")


def test_data_that_are_an_array():
    refused(lambda: fit(normal(), Y), "data", "ndarray", "dict")


def test_an_empty_batch():
    refused(lambda: jl.batch([]), "batch", "no datasets")
    refused(lambda: jl.batch({}), "batch", "no datasets")


def test_a_batch_of_unequal_datasets():
    of = lambda datasets: lambda: fit(normal(), jl.batch(datasets))
    refused(of({"a": {"y": Y}, "b": {"y": Y[:, None]}}), "dataset 'b', 'y'", "(3, 1)", "(3,)", "'a'")
    refused(of([{"y": Y}, {"x": Y}]), "dataset 1", "['x']", "['y']")
    refused(of([{"x": Y}, {"y": Y}, {"y": Y}]), "dataset 0", "['x']", "['y']", "dataset 1")


def test_a_batch_of_one_dict():
    refused(lambda: jl.batch({"y": Y}), "dataset 'y'", "dict")


# --- model ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [lambda p: {"mu": dist.Normal()}, [dist.Normal()], dist.Normal(), {}])
def test_priors_that_are_not_named(prior):
    refused(
        lambda: jl.Model(prior, lambda p, d: {}), "Model(prior=...)", "named" if prior == {} else type(prior).__name__
    )


def test_a_prior_without_a_finite_initial_density():
    far = jl.Model({"mu": dist.Normal(0.0, 1.0), "x": lambda p: dist.Normal(p.mu, -jnp.exp(p.mu))})
    refused(lambda: fit(far, {}), "prior of 'x'", "finite", "init=")
    broken = observing(lambda p, d: dist.Normal(p.mu, -jnp.exp(p.mu)).expand([3]))
    refused(lambda: fit(broken, {"y": Y}), "likelihood of 'y'", "finite", "init=")


def test_a_likelihood_that_is_not_finite():
    posterior = jl.from_log_density(lambda x: jnp.nan * x.sum(), jnp.zeros(2))
    refused(lambda: fit(posterior, None), "log density", "finite", "init=")


def test_a_discrete_parameter():
    model = jl.Model({"k": dist.Poisson(3.0)}, lambda p, d: {"y": dist.Normal(p.k, 1.0).expand([3])})
    for use in (fit, jl.condition):
        refused(lambda use=use: use(model, {"y": Y}), "prior of 'k'", "Poisson", "continuous")


def test_a_likelihood_that_returns_no_dict():
    model = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: dist.Normal(p.mu, 1.0))
    refused(lambda: fit(model, {"y": Y}), "likelihood", "Normal")


def test_a_likelihood_that_returns_numbers():
    model = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": p.mu})
    refused(lambda: fit(model, {"y": Y}), "likelihood", "'y'", "distribution")


def test_functions_of_the_wrong_arity():
    one = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p: {"y": dist.Normal(p.mu, 1.0).expand([3])})
    refused(lambda: fit(one, {"y": Y}), "likelihood", "argument")
    three = jl.Model({"mu": lambda p, d, q: dist.Normal(0.0, 1.0)})
    refused(lambda: fit(three, {"y": Y}), "prior of 'mu'", "argument")
    derived = normal(derived=lambda p: {"double": 2 * p.mu})
    refused(lambda: fit(derived, {"y": Y}), "derived", "argument")


def test_a_prior_that_fails():
    model = jl.Model({"mu": dist.Normal(0.0, 1.0), "x": lambda p: dist.Normal(p.um, 1.0)})
    refused(lambda: fit(model, {}), "prior of 'x'", "'um'", "there are: mu")


def test_dims_and_coords_that_do_not_fit():
    refused(lambda: fit(normal(dims={"moo": ("row",)}), {"y": Y}), "dims=...) for 'moo'")
    refused(lambda: fit(normal(dims={"y": ("row", "column")}), {"y": Y}), "dims=...) for 'y'", "(3,)")
    refused(
        lambda: fit(normal(dims={"y": ("row",)}), {"y": Y}, coords={"row": ["a", "b"]}),
        "coords['row']",
        "2 labels",
        "3",
    )


def test_coords_that_name_no_dimension():
    refused(
        lambda: fit(normal(dims={"y": ("row",)}), {"y": Y}, coords={"rows": list("abc")}), "coords['rows']", "'row'"
    )


def test_prior_draws_of_an_improper_prior():
    model = jl.Model({"mu": dist.ImproperUniform(constraints.real, (), ())})
    refused(lambda: jl.sample_prior(model, {}, 3, 0), "'mu'", "ImproperUniform", "proper")


# --- engine, seed, start ----------------------------------------------------------------------------------------------


def test_an_unknown_option_of_an_engine():
    refused(lambda: jl.NUTS(chain=4), "NUTS(chain=...)", "did you mean 'chains'?")


@pytest.mark.parametrize(
    "option, value",
    [
        *(("chains", value) for value in (0, 2.5, True)),
        *(("draws", value) for value in (0, "100")),
        *(("target_accept", value) for value in (1.0, "high")),
        ("warmup", -1),
        ("metric", "dens"),
        ("max_depth", 0),
        ("rank", 0),
    ],
)
def test_an_impossible_option_of_an_engine(option, value):
    refused(lambda: jl.NUTS(**{option: value}), f"NUTS({option}=...)", repr(value))


def test_a_negative_divergence_threshold():
    refused(lambda: jl.NUTS(divergence_threshold=-1.0), "NUTS(divergence_threshold=...)", "-1.0")


@pytest.mark.parametrize("settings", [{"num_inputs": 3}, {"num_inputs": 1, "given": 5}])
@pytest.mark.parametrize("y", [Y, jl.Masked(np.zeros(20), np.arange(20) < 3)])
def test_sequences_no_longer_than_what_they_are_conditioned_on(settings, y):
    """EM converged, to a score and criteria of minus infinity."""
    model = jl.models.hmm(1, jl.models.emissions.Autoregression(**settings))
    refused(lambda: fit(model, {"y": y}), "observation 'y'", "none has a density", "fewer lags")
    batch = jl.batch({"long": {"y": np.arange(9.0) % 4}, "short": {"y": y}})
    refused(lambda: fit(model, batch), "'short'", "none has a density")


@pytest.mark.parametrize("engine", [jl.NUTS, "nuts", None, 4])
def test_something_that_is_no_engine(engine):
    refused(lambda: fit(normal(), {"y": Y}, engine), "engine")


@pytest.mark.parametrize("missing", ["lanes", "by_rows", "init", "cross_lanes", "review"])
def test_an_engine_that_lacks_something(missing):
    members = [name for name in dir(NUTS) if not name.startswith("_") and name != missing]
    engine = SimpleNamespace(**{name: getattr(NUTS, name) for name in members})
    refused(lambda: fit(normal(), {"y": Y}, engine), "engine", "SimpleNamespace")


@pytest.mark.parametrize("model", [lambda p: p, dist.Normal(), None])
def test_something_that_is_no_model(model):
    refused(lambda: fit(model, {"y": Y}), "model")


def test_data_beside_a_posterior():
    refused(lambda: fit(jl.condition(normal(), {"y": Y}), {"y": Y}), "posterior", "None")


@pytest.mark.parametrize("seed", [True, 1.0, None, "0", np.array([1, 2])])
def test_something_that_is_no_seed(seed):
    refused(lambda: fit(normal(), {"y": Y}, seed=seed), "seed", "jax.random.key")


def test_a_raw_key():
    refused(lambda: fit(normal(), {"y": Y}, seed=jax.random.PRNGKey(0)), "seed", "jax.random.key")
    refused(lambda: fit(normal(), {"y": Y}, seed=jax.random.split(jax.random.key(0))), "seed")


def test_a_segment_of_nothing():
    refused(lambda: fit(normal(), {"y": Y}, segment=0), "segment", "0")


def test_stopping_rules_that_make_no_sense():
    refused(lambda: jl.until(ess=0), "ess")
    refused(lambda: jl.until(rhat=0.9), "rhat")


TWO = jl.Model(
    {"mu": dist.Normal(0.0, 1.0), "tau": dist.HalfNormal(1.0)}, lambda p, d: {"y": dist.Normal(p.mu, p.tau).expand([3])}
)


def test_starts_that_do_not_fit():
    refused(lambda: fit(TWO, {"y": Y}, init={"mu": 0.0}), "init", "add tau")
    refused(lambda: fit(TWO, {"y": Y}, init={"mu": np.zeros(5), "tau": 1.0}), "init=...) for 'mu'", "(5,)")
    refused(lambda: fit(TWO, {"y": Y}, init={"mu": 0.0, "tau": -1.0}), "init", "finite")


def test_a_start_for_an_unknown_name():
    refused(lambda: fit(TWO, {"y": Y}, init={"mu": 0.0, "tau": 1.0, "tua": 2.0}), "init", "tua")


def test_no_devices():
    refused(lambda: fit(normal(), {"y": Y}, devices=[]), "devices")


# --- posteriors from elsewhere ----------------------------------------------------------------------------------------


def test_a_log_density_that_is_no_scalar():
    refused(lambda: jl.from_log_density(lambda x: -(x**2), jnp.zeros(3)), "from_log_density", "(3,)", "scalar")


def test_a_support_of_an_unknown_name():
    call = lambda: jl.from_log_density(lambda p: -p["rate"], {"rate": jnp.zeros(())}, {"rat": constraints.positive})
    refused(call, "from_log_density", "'rat'", "did you mean 'rate'?")


def test_a_numpyro_model_with_a_discrete_site():
    import numpyro

    def model(y):
        k = numpyro.sample("k", dist.Bernoulli(0.5))
        numpyro.sample("y", dist.Normal(k, 1.0), obs=y)

    refused(lambda: jl.from_numpyro(model, Y), "'k'", "discrete")


# --- results ----------------------------------------------------------------------------------------------------------


def test_cores_after_the_start_of_jax():
    count = len(jax.devices())
    refused(lambda: jl.use_cpu_cores(count + 1), f"use_cpu_cores({count + 1})", f"{count} CPU device")
    jl.use_cpu_cores(count)
