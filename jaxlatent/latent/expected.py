"""Expected counts of what is hidden."""

from typing import Literal, NamedTuple

import jax.numpy as jnp

from jaxlatent.typing import Array

#: "exact": the posterior of labels and paths. "hard": the most likely ones. "draw": draws from the posterior.
EStep = Literal["exact", "hard", "draw"]


class Expected(NamedTuple):
    """Expected counts of what is hidden behind one observation.

    Attributes:
        log_likelihood: of the observation, whatever is hidden summed out; a scalar.
        weights: how much each value belongs to each of ``K`` components or states, ``(..., K)``; zero where masked; None where nothing
            is hidden.
        initial: of the state at the first step, ``(..., K)``; hidden Markov models only.
        transitions: from row to column, ``(..., K, K)`` or ``(..., T - 1, K, K)``; hidden Markov models only.
    """

    log_likelihood: Array
    weights: Array | None = None
    initial: Array | None = None
    transitions: Array | None = None


def weighted(counts: Array | None, logs: Array) -> Array:
    """The sum of counts times logarithms, where no count times minus infinity is nothing."""
    assert counts is not None
    needed = jnp.broadcast_to(counts > 0, jnp.broadcast_shapes(counts.shape, logs.shape))
    return jnp.sum(jnp.where(needed, counts * jnp.where(needed, logs, 0.0), 0.0))
