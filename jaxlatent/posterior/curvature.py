"""Second derivatives, also of functions that have no forward mode, as with diffrax's default adjoint."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxlatent.typing import Array

#: What JAX says of a `jax.custom_vjp` in forward mode.
_NO_FORWARD_MODE = "forward-mode autodiff"


def slope_and_curve(function: Callable[[Array], Array], x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """The gradient of ``function`` at ``x``, and its derivative there along a direction.

    Where the gradient has no forward mode, the derivative is a central difference, whose error is about the 2/3rd power of the precision.
    """
    slope = jax.grad(function)
    try:
        at, curve = jax.linearize(slope, x)
        jax.eval_shape(jax.vmap(curve), x[None])  # JAX refuses only where it is used
        return at, curve
    except TypeError as error:
        if _NO_FORWARD_MODE not in str(error):
            raise

    def difference(direction: Array) -> Array:
        length = jnp.max(jnp.abs(direction))
        step = jnp.finfo(x.dtype).eps ** (1 / 3) * (1 + jnp.max(jnp.abs(x))) / jnp.where(length > 0, length, 1.0)
        change: Array = (slope(x + step * direction) - slope(x - step * direction)) / (2 * step)
        return change

    return slope(x), difference


def hessian(function: Callable[[Array], Array], x: Array, batch_size: int | None = None) -> Array:
    """The Hessian ``(dim, dim)`` of ``function`` at ``x`` ``(dim,)``, all columns at once or ``batch_size`` at a time."""
    curve = slope_and_curve(function, x)[1]
    directions = jnp.eye(x.shape[0], dtype=x.dtype)
    columns = (
        jax.vmap(curve)(directions) if batch_size is None else jax.lax.map(curve, directions, batch_size=batch_size)
    )
    symmetric: Array = (columns + columns.T) / 2
    return symmetric


def jacobian(function: Callable[[Array], Array], x: Array) -> Array:
    """The derivative ``(values, dim)`` of ``function`` at ``x`` ``(dim,)``, by forward mode where there is one."""
    try:
        slope: Array = jax.jacfwd(function)(x)
    except TypeError as error:
        if _NO_FORWARD_MODE not in str(error):
            raise
        slope = jax.jacrev(function)(x)
    return slope
