"""Whether a point is a maximum, by what a Newton step from it promises: the same in any units, unlike the length of a gradient."""

import jax
import jax.numpy as jnp

from jaxlatent.typing import Array, LogDensity, Position

_STEPS = 20


def promised_gain(function: LogDensity, position: Position) -> Array:
    """What a Newton step on ``function`` from ``position`` ``(dim,)`` would gain to second order, or less: a scalar, zero at a maximum.

    With slope ``g`` and curvature ``-H`` that is ``g' H^-1 g / 2``. Conjugate gradients come up to it from below, one product with ``H``
    a step (Nocedal and Wright 2006, section 5.1), and stop where the curvature is not negative.
    """
    slope, curve = jax.linearize(jax.grad(function), position)
    enough = jnp.finfo(position.dtype).eps * (slope @ slope)

    def proceed(carry: tuple[Array, ...]) -> Array:
        step, bent, _, residual, *_ = carry
        goes_on: Array = (step < min(_STEPS, position.shape[0])) & bent & (residual @ residual > enough)
        return goes_on

    def step(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        count, _, gain, residual, direction = carry
        image = -curve(direction)
        curvature, square = direction @ image, residual @ residual
        bent = curvature > jnp.finfo(position.dtype).eps * (direction @ direction)
        length = jnp.where(bent, square / jnp.where(bent, curvature, 1.0), 0.0)
        following = residual - length * image
        direction = following + (following @ following) / square * direction
        return count + 1, bent, gain + 0.5 * length * square, following, direction

    zero = jnp.zeros((), position.dtype)
    start: tuple[Array, ...] = (jnp.zeros((), jnp.int32), jnp.isfinite(slope).all(), zero, slope, slope)
    return jax.lax.while_loop(proceed, step, start)[2]
