"""What makes a step of EM for generalised linear emissions fast, against plain formulas: the safe Newton step, and the order of columns."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.distributions.bernoulli import BernoulliLogits
from jaxlatent.distributions.components import by_component
from jaxlatent.models.emissions.glm import _SAFE_STEP
from jaxlatent.models.parts import columns, from_columns

FAMILIES = [jl.models.emissions.BernoulliRegression(1), jl.models.emissions.PoissonRegression(1)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_safe_step_gains(family, x64):
    # A full Newton step gains at least the sum of A''(eta) s^2 less what A curves upwards, for changes s of the linear predictors.
    eta, step = jnp.linspace(-12.0, 12.0, 97)[:, None], jnp.linspace(-_SAFE_STEP, _SAFE_STEP, 98)
    mean, variance = family.moments(eta)
    np.testing.assert_allclose(mean, jax.vmap(jax.vmap(jax.grad(family.log_partition)))(eta), rtol=1e-10)
    curved = family.log_partition(eta + step) - family.log_partition(eta) - mean * step
    assert (variance * step**2 - curved > 0).all()


def test_the_safe_step_is_the_longest_that_is_safe_for_counts(x64):
    over = 1.01 * _SAFE_STEP
    assert np.exp(over) - over - 1 > over**2


@pytest.mark.parametrize("leading", [(5,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("event", [(), (6,)])
def test_columns_have_all_sequences_of_a_step_together(leading, event):
    value = jnp.arange(float(np.prod((*leading, *event)))).reshape(*leading, *event)
    found = columns(value, len(event))
    steps = np.moveaxis(np.asarray(value), -1 - len(event), 0).reshape(-1, *event)
    if len(leading) < 3:
        np.testing.assert_array_equal(found, steps.T)
    assert found.shape == (*event, np.prod(leading))
    if event:
        np.testing.assert_array_equal(from_columns(found, leading), value)


@pytest.mark.parametrize(
    ("logits", "value"), [((4, 5, 3), (4, 5)), ((5, 3), (4, 5)), ((3,), (4, 5)), ((4, 5, 3), (5,))]
)
def test_log_probabilities_by_state_are_those_of_numpyro(logits, value):
    rng = np.random.default_rng(0)
    d, y = rng.normal(size=logits), rng.integers(2, size=value)
    wanted = np.moveaxis(dist.BernoulliLogits(d).log_prob(y[..., None]), -1, 0)
    np.testing.assert_allclose(
        by_component(BernoulliLogits(jnp.asarray(d)), jnp.asarray(y)), wanted, rtol=2e-5, atol=1e-6
    )
