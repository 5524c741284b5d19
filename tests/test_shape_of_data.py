"""The shape of the data rules: a distribution that broadcasts to its observation is the one expanded to it, for all that follows."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.distributions.pointwise import cdf
from jaxlatent.latent import expect, hidden_in
from jaxlatent.model.expansion import expand_to

PROBS = dist.Categorical(probs=jnp.array([0.3, 0.7]))
CHAIN = (jnp.array([0.5, 0.5]), jnp.array([[0.9, 0.1], [0.2, 0.8]]))

#: As written, as it would have to be written in full, and the shape of the observation.
CASES = {
    "a scalar": (dist.Normal(1.0, 2.0), dist.Normal(1.0, 2.0).expand([3, 4]), (3, 4)),
    "a row for all": (dist.Normal(jnp.arange(4.0), 2.0), dist.Normal(jnp.arange(4.0), 2.0).expand([3, 4]), (3, 4)),
    "a column": (dist.Normal(jnp.ones((3, 1)), 2.0), dist.Normal(jnp.ones((3, 4)), 2.0), (3, 4)),
    "events": (
        dist.Normal(jnp.arange(2.0), 1.0).to_event(1),
        dist.Normal(jnp.arange(2.0), 1.0).expand([3, 2]).to_event(1),
        (3, 2),
    ),
    "vectors": (
        dist.MultivariateNormal(jnp.arange(2.0), jnp.eye(2)),
        dist.MultivariateNormal(jnp.ones((3, 1)) * jnp.arange(2.0), jnp.eye(2)),
        (3, 2),
    ),
    "counts": (dist.Binomial(9, probs=0.3), dist.Binomial(jnp.full(5, 9), probs=0.3), (5,)),
    "a mixture": (
        dist.MixtureSameFamily(PROBS, dist.Normal(jnp.arange(2.0), 1.0)),
        dist.MixtureSameFamily(PROBS, dist.Normal(jnp.ones((5, 1)) * jnp.arange(2.0), 1.0)),
        (5,),
    ),
    "a mixture that was expanded": (
        dist.MixtureSameFamily(PROBS, dist.Normal(jnp.arange(2.0), 1.0)).expand([5]),
        dist.MixtureSameFamily(PROBS, dist.Normal(jnp.ones((5, 1)) * jnp.arange(2.0), 1.0)),
        (5,),
    ),
    "sequences": (
        jl.HiddenMarkov(*CHAIN, dist.Normal(jnp.ones((6, 1)) * jnp.arange(2.0), 1.0)),
        jl.HiddenMarkov(*CHAIN, dist.Normal(jnp.ones((3, 6, 1)) * jnp.arange(2.0), 1.0)),
        (3, 6),
    ),
}
DRAWS = 400


def observing(d):
    return jl.Model({"a": dist.Normal(0.0, 1.0)}, lambda p, _: {"y": d})


@pytest.mark.parametrize("bare, full, shape", CASES.values(), ids=CASES)
def test_it_is_the_distribution_expanded_to_the_data(bare, full, shape):
    lead = shape if isinstance(full, jl.HiddenMarkov) else full.batch_shape
    mask = np.arange(np.prod(lead)).reshape(lead) % 3 != 1

    @jax.jit  # one program in place of many small ones
    def follows(key):
        y = full.sample(key)
        params, found = {"a": jnp.zeros(())}, []
        for d in (bare, full):
            model = observing(d)
            seen = [model.log_likelihood(params, {"y": one})["y"] for one in (y, jl.Masked(y, mask))]
            found.append((seen, expect(model.observed(params, {"y": y})["y"], y, "exact", key, 1)))
        model = observing(bare)
        draws = jax.vmap(lambda key: model.sample_observed(key, params, {"y": y})["y"])(jax.random.split(key, DRAWS))
        wanted = full.sample(key, (DRAWS,)).astype(float)
        return found, draws.astype(float), jnp.mean(wanted), jnp.std(wanted)

    (one, other), draws, mean, sd = follows(jax.random.key(0))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), one, other)
    assert jax.tree.map(jnp.shape, one) == jax.tree.map(jnp.shape, other)
    assert hidden_in(expand_to(bare, shape)) is hidden_in(full)
    assert draws.shape == (DRAWS, *shape)
    flat = draws.reshape(DRAWS, -1)
    # Five standard errors, as if all steps of a sequence were one.
    np.testing.assert_allclose(flat.mean(), mean, atol=5 * sd * np.sqrt(2 / DRAWS))
    assert abs(np.corrcoef(flat[:, 0], flat[:, -1])[0, 1]) < 5 / np.sqrt(DRAWS) or hidden_in(full)


def test_distribution_functions_are_those_without_what_expands():
    y = jnp.linspace(-2, 3, 5)
    for name in ("a mixture", "a mixture that was expanded"):
        bare, full, shape = CASES[name]
        np.testing.assert_allclose(cdf(expand_to(bare, shape), y), full.cdf(y), rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 1), ()], ids=["a column", "one value"])
def test_a_distribution_never_enlarges_the_data(shape):
    with pytest.raises(jl.InputError, match="observation 'y'") as caught:
        jl.fit(observing(dist.Normal(jnp.zeros(3), 1.0)), {"y": np.zeros(shape)}, jl.Optimize(), 0)
    assert ".expand" in caught.value.remedy and "mask" in caught.value.remedy


Y = np.random.default_rng(0).normal(2.0, 1.0, 30).astype(np.float32)


@pytest.fixture(scope="module")
def hello():
    """As everybody writes it, with a term of its own."""
    model = jl.Model(
        {"mu": dist.Normal(0.0, 10.0)},
        lambda p, d: {"y": dist.Normal(p.mu, 1.0), "penalty": jl.Factor(-2.0 * p.mu)},
    )
    return jl.fit(model, {"y": Y}, jl.Laplace(draws=200), 0)


def test_a_fit_has_one_term_for_each_value(hello):
    error = np.sqrt(1 / 30.01 / 200)
    np.testing.assert_allclose(hello.mean()["mu"], (Y.sum() - 2.0) / 30.01, atol=5 * error)
    assert hello.log_likelihood()["y"].shape == (1, 200, 30)
    assert hello.loo().n_observations == hello.waic().n_observations == 30
    assert hello.conditional().pit().shape == (30,)


def test_predictions_have_the_shape_of_the_data_if_there_are_any(hello):
    drawn = hello.predict(1)
    assert drawn.keys() == {"y"} and drawn["y"].shape == (1, 200, 30)
    np.testing.assert_allclose(drawn["y"].std(-1).mean(), 1.0, atol=5 / np.sqrt(2 * 200 * 30))
    assert hello.predict(1, {"y": np.zeros((2, 3))})["y"].shape == (1, 200, 2, 3)
    assert hello.predict(1, {})["y"].shape == (1, 200)


def test_a_factor_is_added_once_and_needs_no_data():
    model = jl.Model({"a": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": jl.Factor(p.a)})
    alone = jl.condition(model, {}).log_density(jnp.array([2.0]))
    assert alone == jl.condition(model, {"y": np.zeros(50)}).log_density(jnp.array([2.0]))
    np.testing.assert_allclose(alone, 2.0 + dist.Normal().log_prob(2.0), rtol=1e-6)
