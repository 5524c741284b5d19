"""Detection of separation: components that predict their discrete observations perfectly, so that coefficients diverge."""

from typing import Any

import jax.numpy as jnp

from jaxlatent.data.arrays import split
from jaxlatent.latent.expected import Expected
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.typing import Array

#: Largest expected number of wrong predictions, in total and per observation, of a component with diverging coefficients; a weak prior
#: on the coefficients leaves more.
_ERRORS, _ERROR_RATE = 0.05, 5e-6


def component_probs(d: Any, observation: Any) -> Array | None:
    """The probability of every discrete observation under each component that depends on inputs, ``(N, K)``.

    None if observations are continuous, or if components are the same for all observations and so have no coefficients.

    Args:
        d: the distribution of an observation, a hidden Markov model or a mixture.
        observation: an array or `jaxlatent.Masked`.
    """
    components = d.emissions if isinstance(d, HiddenMarkov) else getattr(d, "component_distribution", None)
    # Mixtures of several families have no common component distribution.
    if components is None:
        return None
    shape = getattr(components, "base_dist", components).batch_shape
    if len(shape) < 2 or components.support is None or not components.support.is_discrete:
        return None
    value = split(observation)[0]
    log_probs = components.log_prob(jnp.expand_dims(value, -1 - components.event_dim))
    return jnp.exp(log_probs).reshape(-1, log_probs.shape[-1])


def separated(d: Any, observation: Any, expected: Expected) -> Array:
    """Which components, ``(K,)``, predict their observations almost surely, so that their coefficients have no maximum.

    Args:
        d: see `component_probs`.
        observation: see `component_probs`.
        expected: its expected counts.
    """
    assert expected.weights is not None
    weights, probable = expected.weights.reshape(-1, expected.weights.shape[-1]), component_probs(d, observation)
    if probable is None:
        return jnp.zeros(weights.shape[-1], bool)
    errors, size = jnp.sum(weights * (1 - probable), 0), jnp.sum(weights, 0)
    return (errors < jnp.minimum(_ERRORS, _ERROR_RATE * size)) & (size >= 2)
