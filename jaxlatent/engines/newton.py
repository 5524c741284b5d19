"""A few damped Newton steps uphill, for functions of few variables that are cheap to evaluate: the M-steps without a closed form."""

import jax
import jax.numpy as jnp

from jaxlatent.typing import Array, LogDensity

#: Fractions of the full step that are tried at once; the last stands still, so that the function never decreases.
_FRACTIONS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 0.001, 0.0)


def climb(function: LogDensity, position: Array, steps: int) -> Array:
    """``steps`` Newton steps on ``function`` from ``position`` ``(dim,)``, none of which lowers it.

    Where the function is not concave, directions of positive curvature are taken at the absolute value of it (saddle-free Newton:
    Dauphin et al. 2014).
    """
    fractions = jnp.asarray(_FRACTIONS, position.dtype)

    def step(_: int, position: Array) -> Array:
        slope = jax.grad(function)(position)
        values, vectors = jnp.linalg.eigh(jax.hessian(function)(position))
        floor = jnp.maximum(jnp.max(jnp.abs(values)) * jnp.finfo(position.dtype).eps, jnp.finfo(position.dtype).tiny)
        direction = vectors @ ((vectors.T @ slope) / jnp.maximum(jnp.abs(values), floor))
        direction = jnp.where(jnp.isfinite(direction).all(), direction, slope)
        longest = 10 * (1 + jnp.linalg.norm(position))
        direction = direction * jnp.minimum(1.0, longest / jnp.maximum(jnp.linalg.norm(direction), 1e-20))
        trials = position + fractions[:, None] * direction
        heights = jax.vmap(function)(trials)
        return trials[jnp.argmax(jnp.where(jnp.isfinite(heights), heights, -jnp.inf))]

    return jax.lax.fori_loop(0, steps, step, position)
