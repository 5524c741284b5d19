"""Check for a maximum by the predicted gain of a Newton step, which unlike the gradient norm is invariant to units."""

import jax
import jax.numpy as jnp

from jaxlatent.posterior.curvature import slope_and_curve
from jaxlatent.typing import Array, LogDensity, Position

_MAX_STEPS = 20


def predicted_gain(function: LogDensity, position: Position) -> Array:
    """A lower bound on the second-order gain of a Newton step on ``function`` from ``position`` ``(dim,)``; zero at a maximum.

    With gradient ``g`` and Hessian ``-H`` the gain is ``g' H^-1 g / 2``. Conjugate gradients approach it from below, one product with
    ``H`` per step (Nocedal and Wright 2006, section 5.1), and stop where the curvature is not negative.
    """
    slope, curve = slope_and_curve(function, position)
    enough = jnp.finfo(position.dtype).eps * (slope @ slope)

    def proceed(carry: tuple[Array, ...]) -> Array:
        step, concave, _, residual, *_ = carry
        goes_on: Array = (step < min(_MAX_STEPS, position.shape[0])) & concave & (residual @ residual > enough)
        return goes_on

    def step(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        count, _, gain, residual, direction = carry
        image = -curve(direction)
        curvature, square = direction @ image, residual @ residual
        concave = curvature > jnp.finfo(position.dtype).eps * (direction @ direction)
        length = jnp.where(concave, square / jnp.where(concave, curvature, 1.0), 0.0)
        following = residual - length * image
        direction = following + (following @ following) / square * direction
        return count + 1, concave, gain + 0.5 * length * square, following, direction

    zero = jnp.zeros((), position.dtype)
    start: tuple[Array, ...] = (jnp.zeros((), jnp.int32), jnp.isfinite(slope).all(), zero, slope, slope)
    return jax.lax.while_loop(proceed, step, start)[2]
