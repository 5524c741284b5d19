"""What a declaration may say: derived quantities that the likelihood reads, ordered and flat priors, coords; and what it must not."""

import warnings

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import jaxlatent as jl

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
Y = X @ [1.0, -0.5] + 0.3 + 0.5 * RNG.normal(size=40)


def line(**settings):
    return jl.Model(
        prior={"a": jl.flat(), "b": jl.flat(shape=(2,)), "s": jl.flat(constraints.positive)},
        likelihood=lambda p, d: {"y": dist.Normal(p.mu, p.s)},
        derived=lambda p, d: {"mu": p.a + d.x @ p.b, "ratio": p.b[0] / p.s},
        dims={"b": ("input",), "mu": ("row",), "y": ("row",)},
        **settings,
    )


# The likelihood reads derived quantities.


def test_a_derived_quantity_that_the_likelihood_reads_is_that_written_into_it():
    written = jl.Model(line().prior, lambda p, d: {"y": dist.Normal(p.a + d.x @ p.b, p.s)})
    data = {"y": Y, "x": X}
    ours, theirs = jl.condition(line(), data), jl.condition(written, data)
    for key in jax.random.split(jax.random.key(0), 5):
        position = ours.initial_position(key)
        both = [jax.value_and_grad(posterior.log_density)(position) for posterior in (ours, theirs)]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *both)


def test_it_follows_fixed_parameters_and_new_data():
    fitted = jl.fit(jl.fix(line(), a=0.3), {"y": Y, "x": X}, jl.Optimize(), seed=0)
    residuals = Y - 0.3
    np.testing.assert_allclose(fitted.best().params["b"], np.linalg.lstsq(X, residuals)[0], rtol=1e-3)
    assert fitted.best().standard_errors(("s", "b"))["s"].shape == ()
    new = np.array([[1.0, 0.0], [0.0, 0.0]])
    predicted = jl.fit(line(), {"y": Y, "x": X}, jl.NUTS(warmup=200, draws=300), seed=0).predict(
        seed=1, data={"x": new}
    )
    least = np.linalg.lstsq(np.column_stack([np.ones(40), X]), Y)[0]
    np.testing.assert_allclose(predicted["y"].mean((0, 1)), [least[0] + least[1], least[0]], atol=0.15)


def test_it_stands_between_parameters_and_observations_in_the_graph():
    edges = set(line().graph({"y": Y, "x": X}).edges)
    assert {("a", "mu"), ("b", "mu"), ("mu", "y"), ("s", "y")} <= edges
    assert ("a", "y") not in edges and ("ratio", "y") not in edges


def test_names_have_one_meaning():
    twice = jl.Model({"a": jl.flat()}, lambda p, d: {"y": dist.Normal(p.a, 1.0)}, derived=lambda p, d: {"a": p.a + 1})
    with pytest.raises(jl.InputError, match="names of a model: 'a'"):
        jl.fit(twice, {"y": Y}, jl.Optimize(), seed=0)
    observed = jl.Model({"y": jl.flat()}, lambda p, d: {"y": dist.Normal(p.y, 1.0)})
    with pytest.raises(jl.InputError, match="a parameter and an observation of one name"):
        jl.fit(observed, {"y": Y}, jl.Optimize(), seed=0)


def test_a_misspelled_name_is_answered_with_those_that_exist():
    model = jl.Model({"a": jl.flat()}, lambda p, d: {"y": dist.Normal(p.mi, 1.0)}, derived=lambda p, d: {"mu": p.a})
    with pytest.raises(jl.InputError, match=r"no parameter 'mi' here \(there are: a, mu\)"):
        jl.fit(model, {"y": Y}, jl.Optimize(), seed=0)


# Observations that others depend on.


CHAIN = jl.Model(
    prior={"a": dist.Normal(2.0, 0.1), "b": dist.Normal(3.0, 0.1)},
    likelihood=lambda p, d: {
        "y": dist.Normal(p.b * d.second + 0 * d.x, 0.1),  # declared before what it depends on
        "second": dist.Normal(d.first + 1, 0.1),
        "first": dist.Normal(p.a * d.x, 0.1),
    },
)


def test_a_mediator_that_is_not_given_is_drawn():
    x = np.array([0.0, 1.0, 2.0])
    drawn = jl.sample_prior(CHAIN, {"x": x}, 4000, seed=0)
    first, second, y = (np.asarray(drawn.observed[name]) for name in ("first", "second", "y"))
    a, b = (np.asarray(drawn.params[name])[:, None] for name in "ab")
    for residual in (first - a * x, second - first - 1, y - b * second):  # each of standard deviation 0.1
        assert np.abs(residual.mean(0)).max() < 5 * 0.1 / np.sqrt(4000)
        assert np.abs(residual.std(0) / 0.1 - 1).max() < 5 / np.sqrt(8000)
    held = jl.sample_prior(CHAIN, {"x": x, "second": np.zeros(3)}, 4000, seed=0)
    assert np.abs(np.mean(held.observed["y"], 0)).max() < 5 * 0.1 / np.sqrt(4000)


def test_predictions_draw_it_too():
    x = RNG.normal(size=50)
    data = {"x": x, "first": 2 * x, "second": 2 * x + 1, "y": 3 * (2 * x + 1)}
    result = jl.fit(CHAIN, data, jl.Laplace(), seed=0)
    predicted = result.predict(seed=1, data={"x": np.array([0.0, 1.0])})
    np.testing.assert_allclose(predicted["y"].mean((0, 1)), [3.0, 9.0], atol=0.15)


def test_what_is_no_observation_is_still_missed():
    model = jl.Model({"a": dist.Normal()}, lambda p, d: {"y": dist.Normal(p.a + d.z, 1.0)})
    with pytest.raises(jl.InputError, match=r"data 'z', which .* reads"):
        jl.sample_prior(model, {"x": Y}, 5, seed=0)


# Entries of the data.


def test_an_entry_that_nothing_reads_is_named():
    with pytest.warns(UserWarning, match="nothing reads 'z' of the data; what it reads is 'x' and 'y'"):
        jl.fit(line(), {"y": Y, "x": X, "z": Y}, jl.Optimize(), seed=0)
    with pytest.warns(UserWarning, match="nothing reads 'x' of the data"):
        jl.condition(jl.models.hmm(2, jl.models.emissions.Gaussian()), jl.batch([{"y": Y, "x": X}] * 2))


def test_an_entry_read_for_its_shape_or_a_start_alone_is_read():
    model = jl.Model(
        {"mu": lambda p, d: dist.Normal(jnp.zeros(d.groups.shape[0]), 1.0).to_event(1)},
        lambda p, d: {"y": dist.Normal(p.mu[0], 1.0)},
        start=lambda key, d: {"mu": d.guess},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jl.fit(model, {"y": Y, "groups": np.ones(3), "guess": np.zeros(3)}, jl.Optimize(), seed=0)


def test_the_smaller_of_nested_models_may_read_less():
    constant = jl.Model({"a": dist.Normal(0.0, 2.0)}, lambda p, d: {"y": dist.Normal(p.a, 1.0)})
    slope = jl.Model(
        {"a": dist.Normal(0.0, 2.0), "b": dist.Normal(jnp.zeros(2), 2.0).to_event(1)},
        lambda p, d: {"y": dist.Normal(p.a + d.x @ p.b, 1.0)},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jl.likelihood_ratio_test(constant, slope, {"y": Y, "x": X}, jl.Optimize(), seed=0, replicates=20)


@pytest.mark.parametrize("model", [jl.models.hmm(2, jl.models.emissions.Gaussian()), line()], ids=["family", "by hand"])
def test_lengths_are_refused_where_they_would_be_ignored(model):
    data = {"y": Y, "x": X, "lengths": [30, 10]}
    with pytest.raises(jl.InputError, match=r"np\.split"):
        jl.fit(model, data, jl.Optimize(), seed=0)
    result = jl.fit(line(), {"y": Y, "x": X}, jl.Optimize(), seed=0)
    with pytest.raises(jl.InputError, match="data 'lengths'"):
        result.score(data)


def test_a_family_answers_a_misspelled_observation():
    with pytest.raises(jl.InputError, match="did you mean 'Y'"):
        jl.fit(jl.models.hmm(2, jl.models.emissions.Gaussian()), {"Y": Y}, jl.EM(), seed=0)


def test_a_column_is_answered_with_how_to_make_it_a_vector():
    with pytest.raises(jl.InputError, match=r"y\[..., 0\]"):
        jl.fit(line(), {"y": Y[:, None], "x": X}, jl.Optimize(), seed=0)


# Priors.


@pytest.mark.parametrize(
    "prior",
    [
        dist.Normal(0.0, 2.0),
        dist.HalfNormal(2.0),
        dist.LogNormal(0.0, 1.0),
        dist.Exponential(1.0),
        dist.TruncatedNormal(1.0, 2.0, low=0.0),
    ],
    ids=lambda d: type(d).__name__,
)
def test_an_ordered_prior_of_equal_entries_is_that_of_order_statistics(prior):
    ordered = jl.ordered(prior.expand([3]))
    draws = prior.sample(jax.random.key(0), (5, 3))
    assert bool(ordered.support(jnp.sort(draws, -1)).all())
    np.testing.assert_allclose(
        ordered.log_prob(jnp.sort(draws, -1)), prior.log_prob(draws).sum(-1) + np.log(6), rtol=1e-5
    )


def test_an_ordered_prior_of_different_entries_is_theirs_on_increasing_vectors():
    location = jnp.array([1.0, 0.0, 0.5])
    ordered = jl.ordered(dist.LogNormal(location, 1.0).to_event(1))
    sampled = jl.fit(jl.Model({"mu": ordered}), {}, jl.NUTS(chains=4, warmup=500, draws=1000), seed=0)
    free = np.random.default_rng(0).normal(location, 1.0, size=(200_000, 3))
    kept = free[(np.diff(free) > 0).all(-1)]
    error = kept.std(0) * np.sqrt(1 / 400 + 1 / len(kept))  # of 4,000 draws, of which at least a tenth are effective
    assert (np.abs(np.mean(np.log(sampled.params["mu"]), (0, 1)) - kept.mean(0)) < 5 * error).all()
    with pytest.raises(jl.InputError, match="cannot be drawn from"):
        jl.sample_prior(jl.Model({"mu": ordered}), {}, 5, seed=0)


@pytest.mark.parametrize(
    "prior",
    [
        dist.Normal(0.0, 1.0),
        dist.Beta(1.0, 2.0).expand([3]),
        dist.TruncatedNormal(0.0, 1.0, low=1.0).expand([3]),
        dist.MultivariateNormal(jnp.zeros(3), jnp.eye(3)),
    ],
    ids=["scalar", "bounded", "above one", "correlated"],
)
def test_other_priors_are_not_ordered(prior):
    with pytest.raises(jl.InputError, match="a vector of independent entries"):
        jl.ordered(prior)


def test_a_flat_prior_leaves_the_likelihood_alone():
    log_joint = jl.condition(line(), {"y": Y, "x": X}).density.log_density
    posterior = jl.condition(line(), {"y": Y, "x": X})
    params = {"a": 0.1, "b": jnp.array([0.5, 0.2]), "s": 0.7}
    position = posterior.unconstrain(params)
    likelihood = dist.Normal(0.1 + X @ np.array([0.5, 0.2]), 0.7).log_prob(Y).sum()
    np.testing.assert_allclose(log_joint(position, posterior.data, {}, jacobian=False), likelihood, rtol=1e-5)
    assert "Flat" in line().graph({"y": Y, "x": X}).mermaid()


def test_remedies_fit_the_mistake():
    with pytest.raises(jl.InputError, match="leave this prior as it is"):
        jl.informed(dist.HalfNormal(1.0))
    late = jl.Model(
        {"a": lambda p: dist.Normal(p.b, 1.0), "b": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.a, 1.0)}
    )
    with pytest.raises(jl.InputError, match="declared before it"):
        jl.fit(late, {"y": Y}, jl.NUTS(), seed=0)


# Coords belong to the model.


def test_coords_of_the_model_reach_draws_priors_and_arviz():
    model = line(coords={"input": ["u", "v"]})
    model = jl.Model(
        **{
            **{name: getattr(model, name) for name in ("likelihood", "derived", "dims", "coords")},
            "prior": {"a": dist.Normal(), "b": dist.Normal(jnp.zeros(2)).to_event(1), "s": dist.HalfNormal()},
        }
    )
    result = jl.fit(model, {"y": Y, "x": X}, jl.NUTS(chains=2, warmup=100, draws=100), seed=0)
    assert list(az.extract(result.to_arviz())["b"].coords["input"].values) == ["u", "v"]
    prior = jl.sample_prior(model, {"y": Y, "x": X}, 10, seed=0)
    assert list(prior.to_arviz()["prior"]["b"].coords["input"].values) == ["u", "v"]
    given = jl.fit(
        model, {"y": Y, "x": X}, jl.NUTS(chains=2, warmup=100, draws=100), seed=0, coords={"input": ["s", "t"]}
    )
    assert "b[s]" in given.summary().index
    with pytest.raises(jl.InputError, match="coords"):
        jl.fit(line(coords={"input": ["u"]}), {"y": Y, "x": X}, jl.Optimize(), seed=0)


def test_a_fixed_parameter_takes_the_labels_of_its_dimensions_along():
    fixed = jl.fix(line(coords={"input": ["u", "v"], "row": list(range(40))}), b=np.zeros(2))
    result = jl.fit(fixed, {"y": Y, "x": X}, jl.Optimize(), seed=0)  # no dimension `input` is left
    assert set(result.coords) == {"row"}
