"""Latent paths of a hidden Markov model: the state of each step of a sequence."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxlatent.latent import markov
from jaxlatent.latent.expected import EStep, Expected, weighted
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.masks import cover
from jaxlatent.typing import AnyArray, Array, Key


def expect(
    d: HiddenMarkov, value: AnyArray, mask: AnyArray | None, how: EStep, key: Key | None, draws: int
) -> Expected:
    """Expected states and transitions; see `jaxlatent.latent.expect`."""
    likelihoods = d.state_log_likelihoods(value, mask)
    mask = cover(mask, likelihoods.shape[:-1])
    chain = (d.initial_probs, d.transition_matrix, likelihoods, mask)
    if how == "exact":
        log_normalizer, probs, transitions = markov.smooth(*chain)
    elif how == "hard":
        log_normalizer = markov.log_normalizer(*chain)
        probs, transitions = _counts(d, markov.most_likely_states(*chain)[0])
    else:
        assert key is not None, "draws need a key"
        log_normalizer = markov.log_normalizer(*chain)
        one: Callable[[Key], tuple[Array, Array]] = lambda key: _counts(d, markov.sample_states(key, *chain))
        probs, transitions = jax.tree.map(lambda x: jnp.mean(x, 0), jax.vmap(one)(jax.random.split(key, draws)))
    # Transposed as the messages lie in memory. XLA then takes the conversion, but not a selection, out of the iterations of EM.
    weights = probs if mask is None else (probs.T * jnp.broadcast_to(mask, probs.shape[:-1]).T.astype(probs.dtype)).T
    return Expected(jnp.sum(log_normalizer), weights, probs[..., 0, :], transitions)


def expected_log_prob(d: HiddenMarkov, value: AnyArray, mask: AnyArray | None, expected: Expected) -> Array:
    """The expected joint log density of values and paths, a scalar."""
    emitted = weighted(expected.weights, d.state_log_likelihoods(value, mask))
    started = weighted(expected.initial, jnp.log(d.initial_probs))
    return emitted + started + weighted(expected.transitions, jnp.log(d.transition_matrix))


def probs(d: HiddenMarkov, value: AnyArray, mask: AnyArray | None) -> Array:
    """Smoothed probabilities of the states, ``(..., T, K)``."""
    return d.smooth(value, mask).probs


def most_likely(d: HiddenMarkov, value: AnyArray, mask: AnyArray | None) -> tuple[Array, Array]:
    """The most likely paths, -1 past the end of a sequence, and the joint log density of values and paths, a scalar."""
    path, log_prob = d.most_likely_states(value, mask)
    return path, jnp.sum(log_prob)


def sample(key: Key, d: HiddenMarkov, value: AnyArray, mask: AnyArray | None) -> Array:
    """A posterior draw of the paths, -1 past the end of a sequence."""
    return d.sample_states(key, value, mask)


def simulate(key: Key, d: HiddenMarkov) -> tuple[Array, Array]:
    """Draw paths, and each value from the state of its step; ``(..., T, *event)`` and integers ``(..., T)``."""
    return d.sample_with_states(key)


def _counts(d: HiddenMarkov, path: Array) -> tuple[Array, Array]:
    """Counts of states ``(..., T, K)`` and transitions ``(..., [T - 1,] K, K)`` of paths ``(..., T)``; zero past the end."""
    here = (path[..., None] == jnp.arange(d.num_states)).astype(d.initial_probs.dtype)
    each = "...tij" if d.transition_matrix.ndim > 2 else "...ij"
    return here, jnp.einsum(f"...ti,...tj->{each}", here[..., :-1, :], here[..., 1:, :])
