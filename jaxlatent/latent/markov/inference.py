"""Filtered and smoothed probabilities of hidden states, and expected transitions."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxlatent.latent.markov.expectations import expectations, summable
from jaxlatent.latent.markov.messages import Method, messages
from jaxlatent.latent.markov.normalizer import Problem, arrange
from jaxlatent.typing import AnyArray, Array


class Smoothed(NamedTuple):
    """The posterior of the states given whole sequences.

    Attributes:
        log_normalizer: ``(...)``.
        probs: ``(..., T, K)``; zero at steps past the end of a sequence.
        transitions: expected number of transitions, from row to column: ``(..., K, K)`` over all steps, or for a transition matrix that
            varies with the step ``(..., T - 1, K, K)``.
    """

    log_normalizer: Array
    probs: Array
    transitions: Array


class Filtered(NamedTuple):
    """The posterior of each state given the steps up to its own.

    Attributes:
        log_normalizer: ``(...)``.
        probs: ``(..., T, K)``; past the end of a sequence, predictions.
    """

    log_normalizer: Array
    probs: Array


def smooth(
    initial_probs: Array,
    transition_matrix: Array,
    log_likelihoods: Array,
    mask: AnyArray | None = None,
    method: Method | None = None,
) -> Smoothed:
    """Smoothed probabilities and expected transitions; arguments as in `jaxlatent.latent.markov.log_normalizer`."""
    problem = arrange(initial_probs, transition_matrix, log_likelihoods, mask, method)
    if summable(problem.transition, problem.log_likelihoods, problem.method):
        sums = expectations(*problem[:4])
        transitions = sums.moves * problem.transition[..., None]
        return Smoothed(
            sums.log_normalizer.reshape(problem.leading),
            _restore(sums.smoothed, problem),
            _restore(transitions, problem),
        )
    m = messages(*problem[:5])
    if problem.transition.ndim == 2:
        transitions = jnp.einsum("tib,tjb->ijb", m.alpha[:-1], m.seen[1:]) * problem.transition[..., None]
    else:
        transitions = m.alpha[:-1, :, None] * problem.transition * m.seen[1:, None]
    return Smoothed(
        m.log_normalizer.reshape(problem.leading), _restore(m.smoothed, problem), _restore(transitions, problem)
    )


def filtered(
    initial_probs: Array,
    transition_matrix: Array,
    log_likelihoods: Array,
    mask: AnyArray | None = None,
    method: Method | None = None,
) -> Filtered:
    """Filtered probabilities; arguments as in `jaxlatent.latent.markov.log_normalizer`."""
    problem = arrange(initial_probs, transition_matrix, log_likelihoods, mask, method)
    m = messages(*problem[:5])
    return Filtered(m.log_normalizer.reshape(problem.leading), _restore(m.alpha, problem))


def _restore(x: Array, problem: Problem) -> Array:
    return jnp.moveaxis(x, -1, 0).reshape(*problem.leading, *x.shape[:-1])
