"""Latent labels of a mixture: the component of each value."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from jaxlatent.distributions.masking import feasible
from jaxlatent.latent.expected import EStep, Expected, weighted
from jaxlatent.latent.markov.paths import ABSENT
from jaxlatent.masks import cover
from jaxlatent.typing import AnyArray, Array, Key


def expect(d: Any, value: AnyArray, mask: AnyArray | None, how: EStep, key: Key | None, draws: int) -> Expected:
    """Expected labels; see `jaxlatent.latent.expect`."""
    joint = _joint(d, value, mask)
    mask = cover(mask, joint.shape[:-1])
    one_hot: Callable[[Array], Array] = lambda labels: jax.nn.one_hot(labels, joint.shape[-1], dtype=joint.dtype)
    if how == "hard":
        weights = one_hot(jnp.argmax(joint, -1))
    elif how == "draw":
        assert key is not None, "draws need a key"
        # One key per draw, so that padding rows do not change the others.
        draw: Callable[[Key], Array] = lambda key: one_hot(jax.random.categorical(key, joint))
        weights = jnp.mean(jax.vmap(draw)(jax.random.split(key, draws)), 0)
    else:
        weights = jax.nn.softmax(joint, -1)
    if mask is not None:
        weights = jnp.where(mask[..., None], weights, 0.0)
    return Expected(_masked_sum(logsumexp(joint, -1), mask), weights)


def expected_log_prob(d: Any, value: AnyArray, mask: AnyArray | None, expected: Expected) -> Array:
    """The expected joint log density of values and labels, a scalar."""
    return weighted(expected.weights, _joint(d, value, mask))


def probs(d: Any, value: AnyArray, mask: AnyArray | None) -> Array:
    """The posterior probability of each component for each value, ``(..., K)``; zero where masked."""
    weights = expect(d, value, mask, "exact", None, 1).weights
    assert weights is not None
    return weights


def most_likely(d: Any, value: AnyArray, mask: AnyArray | None) -> tuple[Array, Array]:
    """The most likely labels, and the joint log density of values and labels, a scalar."""
    joint = _joint(d, value, mask)
    mask = cover(mask, joint.shape[:-1])
    return _labels(jnp.argmax(joint, -1), mask), _masked_sum(jnp.max(joint, -1), mask)


def sample(key: Key, d: Any, value: AnyArray, mask: AnyArray | None) -> Array:
    """A posterior draw of the labels."""
    joint = _joint(d, value, mask)
    return _labels(jax.random.categorical(key, joint), cover(mask, joint.shape[:-1]))


def simulate(key: Key, d: Any) -> tuple[Array, Array]:
    """Draw labels, and each value from its component; ``(..., *event)`` and integers ``(...)``."""
    key_label, key_value = jax.random.split(key)
    labels = jax.random.categorical(key_label, d.mixing_distribution.logits, shape=d.batch_shape)
    values = d.component_sample(key_value)
    index = labels.reshape(*labels.shape, *(1,) * (1 + d.event_dim))
    return jnp.take_along_axis(values, index, labels.ndim).squeeze(labels.ndim), labels


def _joint(d: Any, value: AnyArray, mask: AnyArray | None) -> Array:
    """The joint log density of values and each label, ``(..., K)``."""
    joint: Array = d.component_log_probs(value if mask is None else feasible(d, value, mask))
    return joint


def _labels(labels: Array, mask: AnyArray | None) -> Array:
    return labels if mask is None else jnp.where(mask, labels, ABSENT)


def _masked_sum(terms: Array, mask: AnyArray | None) -> Array:
    return jnp.sum(terms if mask is None else jnp.where(mask, terms, 0.0))
