"""Where lanes start: positions of finite log density, with every observation inside its support."""

import jax
import jax.numpy as jnp

from jaxlatent.distributions.masking import inside_support
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, Position

_TRIES = 100


def initial_position(posterior: Posterior, key: Key) -> tuple[Position, Array]:
    """A position of finite log density for one lane, and whether one was found in 100 tries."""

    def search(carry: tuple[Array, Position, Array]) -> tuple[Array, Position, Array]:
        i, _, _ = carry
        position = posterior.initial_position(jax.random.fold_in(key, i))
        return i + 1, position, jnp.isfinite(posterior.log_density(position))

    # The first turn is forced by starting at "not found"; the log density stands in the program once.
    start = (jnp.zeros((), jnp.int32), jnp.zeros(posterior.dim), jnp.zeros((), bool))
    _, position, found = jax.lax.while_loop(lambda c: ~c[2] & (c[0] < _TRIES), search, start)
    return position, found


def supported(posterior: Posterior, position: Position) -> dict[str, Array]:
    """By observation, whether all its values lie in the support of their distribution; empty if the density cannot tell."""
    density, data, params = posterior.density, posterior.data, posterior.constrain(position)
    return {
        name: jnp.all(inside_support(d, density.observation(name, params, data)))
        for name, d in density.observed(params, data).items()
    }
