"""Random starting positions with a finite log density."""

import jax
import jax.numpy as jnp

from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, Position

_TRIES = 100


def initial_position(posterior: Posterior, key: Key) -> tuple[Position, Array]:
    """A position with a finite log density for one lane, and whether one was found in 100 tries."""

    def search(carry: tuple[Array, Position, Array]) -> tuple[Array, Position, Array]:
        i, _, _ = carry
        position = posterior.initial_position(jax.random.fold_in(key, i))
        return i + 1, position, jnp.isfinite(posterior.log_density(position))

    # Starting at "not found" forces the first iteration, so that the program holds the log density once.
    start = (jnp.zeros((), jnp.int32), jnp.zeros(posterior.dim), jnp.zeros((), bool))
    _, position, found = jax.lax.while_loop(lambda c: ~c[2] & (c[0] < _TRIES), search, start)
    return position, found
