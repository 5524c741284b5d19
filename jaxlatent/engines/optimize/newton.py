"""Damped Newton ascent for cheap functions of few variables: M-steps without a closed form.

The factorisation is plain JAX: for symmetric matrices that are not positive definite, JAX offers only eigenvalues, which take two to
five times as long (200 lanes of 2 to 60 variables on a CPU).
"""

import jax
import jax.numpy as jnp

from jaxlatent.posterior.curvature import hessian
from jaxlatent.typing import Array, Float, LogDensity

#: Fractions of the full step, all evaluated at once; the last is zero, so that the function never decreases.
_FRACTIONS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6, 0.0)


def damped_newton(function: LogDensity, position: Float[Array, " dim"], steps: int) -> Float[Array, " dim"]:
    """Take ``steps`` Newton steps from ``position`` that never decrease ``function``.

    Where the function is not concave, pivots of the wrong sign are flipped (Gill, Murray and Wright 1981, section 4.4.2).
    """
    fractions = jnp.asarray(_FRACTIONS, position.dtype)

    def step(_: Array, position: Array) -> Array:
        slope = jax.grad(function)(position)
        direction = solve(-hessian(function, position), slope)
        direction = jnp.where(jnp.isfinite(direction).all(), direction, slope)
        longest = 10 * (1 + jnp.linalg.norm(position))
        direction = direction * jnp.minimum(1.0, longest / jnp.maximum(jnp.linalg.norm(direction), 1e-20))
        trials = position + fractions[:, None] * direction
        heights = jax.vmap(function)(trials)
        return trials[jnp.argmax(jnp.where(jnp.isfinite(heights), heights, -jnp.inf))]

    position = jax.lax.fori_loop(0, steps, step, position)
    return position


def solve(matrix: Float[Array, "dim dim"], right: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """Solve ``(L |D| L') x = right`` for the symmetric ``matrix`` = ``L D L'``, which is exact if it is positive definite.

    The matrix is first scaled to a unit diagonal, so that accuracy does not depend on units.
    """
    dim, index = right.shape[0], jnp.arange(right.shape[0])
    sizes = jnp.abs(jnp.diagonal(matrix))
    scale = jnp.where(sizes > 0, jnp.sqrt(jnp.where(sizes > 0, sizes, 1.0)), 1.0)
    matrix, right, floor = matrix / scale / scale[:, None], right / scale, jnp.finfo(matrix.dtype).eps

    def eliminate(j: Array, carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        rest, lower, pivots, z = carry
        pivot = rest[j, j]
        pivot = jnp.where(jnp.abs(pivot) < floor, floor, pivot)
        column = jnp.where(index > j, rest[:, j] / pivot, 0.0)
        rest = rest - pivot * jnp.outer(column, column)
        return rest, lower.at[:, j].set(column), pivots.at[j].set(jnp.abs(pivot)), z - column * z[j]

    start = (matrix, jnp.zeros_like(matrix), jnp.ones_like(right), right)
    _, lower, pivots, z = jax.lax.fori_loop(0, dim, eliminate, start)

    def substitute(i: Array, x: Array) -> Array:
        j = dim - 1 - i
        return x.at[j].add(-jnp.dot(lower[:, j], x))

    x: Array = jax.lax.fori_loop(0, dim, substitute, z / pivots) / scale
    return x
