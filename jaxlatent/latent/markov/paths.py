"""Paths of hidden states: Viterbi paths, draws from the posterior, and simulation."""

import jax
import jax.numpy as jnp

from jaxlatent.latent.markov.messages import messages
from jaxlatent.latent.markov.normalizer import arrange
from jaxlatent.typing import AnyArray, Array, Key

#: The state of steps past the end of a sequence.
ABSENT = -1


def most_likely_states(
    initial_probs: Array, transition_matrix: Array, log_likelihoods: Array, mask: AnyArray | None = None
) -> tuple[Array, Array]:
    """The most likely path of every sequence (Viterbi 1967) and the log of its joint probability.

    Arguments as in `jaxlatent.latent.markov.log_normalizer`.

    Returns:
        path: integers ``(..., T)``, -1 past the end of a sequence.
        log_prob: joint, of path and observations, ``(...)``.
    """
    problem = arrange(initial_probs, transition_matrix, log_likelihoods, mask, "sequential")
    log_a = jnp.log(problem.transition if problem.transition.ndim == 4 else problem.transition[..., None])
    ll, live = problem.log_likelihoods, problem.live
    alive = jnp.ones((ll.shape[0], 1), bool) if live is None else live
    states = jnp.arange(ll.shape[1])[:, None]

    def forward(best: Array, step: tuple[Array, Array, Array | None]) -> tuple[Array, tuple[Array, Array]]:
        log_likelihood, alive, now = step
        through = best[:, None] + (log_a if now is None else now)
        come_from = jnp.where(alive, jnp.argmax(through, 0), states)
        following = jnp.max(through, 0) + log_likelihood
        # States are compared relative to the best one: in a sum over many steps, 32 bits would lose how they differ.
        highest = jnp.max(following, 0)
        highest = jnp.where(alive & jnp.isfinite(highest), highest, 0.0)
        return jnp.where(alive, following - highest, best), (come_from, highest)

    start = jnp.log(problem.initial) + ll[0]
    start = jnp.where(alive[0], start, 0.0)
    steps = (ll[1:], alive[1:], log_a if log_a.ndim == 4 else None)
    best, (come_from, gained) = jax.lax.scan(forward, start, steps)
    last = jnp.argmax(best, 0)

    def back(state: Array, come_from: Array) -> tuple[Array, Array]:
        return jnp.take_along_axis(come_from, state[None], 0)[0], state

    first, rest = jax.lax.scan(back, last, come_from, reverse=True)
    path = jnp.where(alive, jnp.concatenate([first[None], rest]), ABSENT)
    log_prob = jnp.max(best, 0) + jnp.sum(gained, 0)
    return path.T.reshape(*problem.leading, -1), log_prob.reshape(problem.leading)


def sample_states(
    key: Key,
    initial_probs: Array,
    transition_matrix: Array,
    log_likelihoods: Array,
    mask: AnyArray | None = None,
) -> Array:
    """Draw the path of every sequence from its posterior by forward filtering, backward sampling (Frühwirth-Schnatter 2006, 11.5).

    Args:
        key: a typed JAX key.
        initial_probs, transition_matrix, log_likelihoods, mask: as in `jaxlatent.latent.markov.log_normalizer`.

    Returns:
        Integers ``(..., T)``, -1 past the end of a sequence.
    """
    problem = arrange(initial_probs, transition_matrix, log_likelihoods, mask, "sequential")
    m = messages(problem.initial, problem.transition, problem.log_likelihoods, problem.live, "sequential")
    steps = m.alpha.shape[0]
    alive = jnp.ones((steps, 1), bool) if problem.live is None else problem.live
    noise = jax.random.gumbel(key, m.alpha.shape, m.alpha.dtype)
    log_alpha = jnp.log(m.alpha)

    def back(after: Array, step: tuple[Array, Array, Array, Array | None]) -> tuple[Array, Array]:
        log_alpha, noise, alive_after, now = step
        entering = _columns(problem.transition if now is None else now, after)
        pulled = jnp.where(alive_after, log_alpha + jnp.log(entering), log_alpha)
        state = jnp.argmax(pulled + noise, 0)
        return state, state

    last = jnp.argmax(log_alpha[-1] + noise[-1], 0)
    varying = problem.transition if problem.transition.ndim == 4 else None
    _, rest = jax.lax.scan(back, last, (log_alpha[:-1], noise[:-1], alive[1:], varying), reverse=True)
    path = jnp.where(alive, jnp.concatenate([rest, last[None]]), ABSENT)
    return path.T.reshape(*problem.leading, -1)


def simulate_states(key: Key, initial_probs: Array, transition_matrix: Array, steps: int) -> Array:
    """Simulate a path of the Markov chain: integers ``(steps,)``.

    Args:
        key: a typed JAX key.
        initial_probs: ``(K,)``.
        transition_matrix: ``(K, K)`` or ``(steps - 1, K, K)``.
        steps: length of the path.
    """
    noise = jax.random.gumbel(key, (steps, initial_probs.shape[0]))

    def forward(state: Array, step: tuple[Array, Array | None]) -> tuple[Array, Array]:
        noise, now = step
        state = jnp.argmax(jnp.log((transition_matrix if now is None else now)[state]) + noise)
        return state, state

    first = jnp.argmax(jnp.log(initial_probs) + noise[0])
    varying = transition_matrix if transition_matrix.ndim == 3 else None
    return jnp.concatenate([first[None], jax.lax.scan(forward, first, (noise[1:], varying))[1]])


def _columns(transition: Array, state: Array) -> Array:
    """``A[:, state]`` for every sequence, ``(K, B)``."""
    one_hot = (jnp.arange(transition.shape[1])[:, None] == state).astype(transition.dtype)
    matrix = transition[..., None] if transition.ndim == 2 else transition
    return jnp.sum(matrix * one_hot[None], 1)
