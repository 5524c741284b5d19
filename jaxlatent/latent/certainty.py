"""Components that predict what belongs to them without an error."""

from typing import Any

import jax.numpy as jnp

from jaxlatent.data.arrays import split
from jaxlatent.latent.expected import Expected
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.typing import Array

#: So few wrong predictions are expected, in all and as a part of the observations, where coefficients grow without end until EM stops;
#: where a weak prior holds them, there are more.
_ERRORS, _ERROR_RATE = 0.05, 5e-6


def chances(d: Any, observation: Any) -> Array | None:
    """The probability of every observation under each component, ``(N, K)``, where these foretell discrete values from inputs.

    None where observations are continuous, or where a component foretells the same for all of them, which is no matter of coefficients.

    Args:
        d: the distribution of an observation, a hidden Markov model or a mixture.
        observation: an array or `jaxlatent.Masked`.
    """
    components = d.emissions if isinstance(d, HiddenMarkov) else getattr(d, "component_distribution", None)
    # Components of several families come one by one: nothing is known of what they have in common.
    if components is None:
        return None
    shape = getattr(components, "base_dist", components).batch_shape
    if len(shape) < 2 or components.support is None or not components.support.is_discrete:
        return None
    value = split(observation)[0]
    log_probs = components.log_prob(jnp.expand_dims(value, -1 - components.event_dim))
    return jnp.exp(log_probs).reshape(-1, log_probs.shape[-1])


def foreseen(d: Any, observation: Any, expected: Expected) -> Array:
    """Which components, ``(K,)``, foretell what belongs to them almost surely: their coefficients have no maximum.

    Args:
        d: see `chances`.
        observation: see `chances`.
        expected: its expected counts.
    """
    assert expected.weights is not None
    weights, probable = expected.weights.reshape(-1, expected.weights.shape[-1]), chances(d, observation)
    if probable is None:
        return jnp.zeros(weights.shape[-1], bool)
    errors, size = jnp.sum(weights * (1 - probable), 0), jnp.sum(weights, 0)
    return (errors < jnp.minimum(_ERRORS, _ERROR_RATE * size)) & (size >= 2)
