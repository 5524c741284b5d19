"""Effects of groups that were not in the data come from their population, one for each group and draw."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.model.checks import levels_needed

GROUPS, ROWS = 6, 60
RNG = np.random.default_rng(0)
DATA = {"g": np.arange(ROWS) % GROUPS, "y": RNG.normal(size=ROWS)}
NEW = {"g": np.array([0, 8, 8, 9, 9])}
NORMAL = lambda p: dist.Normal(p.mu, p.tau).expand([GROUPS]).to_event(1)

PRIORS = {
    "plain": NORMAL,
    "noncentred": lambda p: jl.noncentred(NORMAL(p)),
    "partially centred": lambda p: jl.partially_centred(NORMAL(p), 0.5),
    "informed": lambda p: jl.informed(NORMAL(p)),
}


def model(prior, effect=lambda p, d: p.alpha[d.g]):
    return jl.Model(
        {"mu": dist.Normal(0.0, 1.0), "tau": dist.LogNormal(0.0, 0.1), "alpha": prior},
        # Next to no noise: predictions are the effects.
        lambda p, d: {"y": dist.Normal(effect(p, d), 1e-3 if "y" not in d else 1.0)},
    )


@pytest.fixture(scope="module")
def fits():
    return {
        name: jl.fit(model(prior), DATA, jl.Laplace(draws=500), 0)
        for name, prior in PRIORS.items()
        if name in ("plain", "informed")
    }


@pytest.mark.parametrize("name", ["plain", "informed"])
def test_new_effects_follow_the_population_given_the_other_parameters(fits, name):
    result = fits[name]
    drawn = result.predict(1, NEW, new_levels=True)["y"][0]
    known, eight, again, nine, _ = drawn.T
    np.testing.assert_allclose(known, result.params["alpha"][0, :, 0], atol=6e-3)
    np.testing.assert_allclose(eight, again, atol=1e-2)
    for one in (eight, nine):
        z = (one - result.params["mu"][0]) / result.params["tau"][0]
        assert abs(z.mean()) < 5 / np.sqrt(500) and abs(z.std() - 1) < 5 / np.sqrt(1000)
    apart = np.corrcoef(eight - result.params["mu"][0], nine - result.params["mu"][0])[0, 1]
    assert abs(apart) < 0.5  # they share tau, and nothing else


@pytest.mark.parametrize("name", PRIORS)
def test_every_coordinate_is_a_population(name):
    params = {"mu": jnp.zeros(()), "tau": jnp.ones(()), "alpha": jnp.zeros(GROUPS)}
    assert levels_needed(model(PRIORS[name]), params, DATA, NEW) == {"alpha": 10}


@pytest.mark.parametrize(
    "prior",
    [
        lambda p: dist.Normal(jnp.arange(6.0), 1.0).to_event(1),
        lambda p: dist.MultivariateNormal(jnp.zeros(GROUPS), jnp.eye(GROUPS)),
        lambda p: jl.ordered(dist.Normal(0.0, 1.0).expand([GROUPS])),
    ],
    ids=["entries that differ", "entries that depend on each other", "entries in order"],
)
def test_a_prior_that_is_no_population_is_refused(prior):
    params = {"mu": jnp.zeros(()), "tau": jnp.ones(()), "alpha": jnp.arange(6.0)}
    with pytest.raises(jl.InputError, match="parameter 'alpha'"):
        levels_needed(model(prior), params, DATA, NEW)


def test_without_asking_they_are_an_error(fits):
    with pytest.raises(jl.InputError, match="from 0 to 9 into an axis of length 6"):
        fits["plain"].predict(1, NEW)
    with pytest.raises(jl.InputError, match="from -1 to"):
        fits["plain"].predict(1, {"g": np.array([-1, 8])}, new_levels=True)


def test_datasets_of_a_batch_may_have_different_new_groups():
    """The most of them first: the others' do not hide them."""
    result = jl.fit(model(NORMAL), jl.batch([DATA, DATA]), jl.Laplace(draws=50), 0)
    new = jl.batch([{"g": np.array([0, 9])}, {"g": np.array([0, 7])}])
    drawn = result.predict(1, new, new_levels=True)["y"]
    np.testing.assert_allclose(drawn[..., 0], result.params["alpha"][..., 0], atol=6e-3)
    assert (drawn[0, ..., 1] != drawn[1, ..., 1]).all()
