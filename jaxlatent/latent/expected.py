"""`Expected`: the expected counts of latent labels or paths, the result of the E-step."""

from typing import Literal, NamedTuple

import jax.numpy as jnp

from jaxlatent.typing import Array

#: "exact": the posterior of labels and paths. "hard": the most likely ones. "draw": draws from the posterior.
EStep = Literal["exact", "hard", "draw"]


class Expected(NamedTuple):
    """Expected counts of the latent labels or paths of one observation.

    Attributes:
        log_likelihood: marginal, of the observation; a scalar.
        weights: responsibility of each of ``K`` components or states for each value, ``(..., K)``; zero where masked; None without
            latent variables.
        initial: of the state at the first step, ``(..., K)``; hidden Markov models only.
        transitions: from row to column, ``(..., K, K)`` or ``(..., T - 1, K, K)``; hidden Markov models only.
    """

    log_likelihood: Array
    weights: Array | None = None
    initial: Array | None = None
    transitions: Array | None = None


def weighted(counts: Array | None, logs: Array) -> Array:
    """The sum of counts times logarithms, where 0 times minus infinity is 0."""
    assert counts is not None
    needed = jnp.broadcast_to(counts > 0, jnp.broadcast_shapes(counts.shape, logs.shape))
    return jnp.sum(jnp.where(needed, counts * jnp.where(needed, logs, 0.0), 0.0))
