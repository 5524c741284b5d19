"""Draws of one parameter as a padded table of chains: the common ground of the convergence diagnostics.

Every diagnostic is written for one parameter: an array ``x`` of shape ``(chains, draws)`` of which the first ``n``
draws of each chain count and the rest is padding. `over_parameters` lifts it to any trailing shape. Because ``n`` may
be traced, a stopping rule evaluates one compiled program while the draws grow.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxlatent.typing import Array, ArrayLike

#: Fewer draws than this give NaN, as in ArviZ and Stan: there is nothing left to split.
MIN_DRAWS = 4


def over_parameters(statistic: Callable[[Array, Array], Array], draws: ArrayLike, n: ArrayLike | None) -> Array:
    """Apply a statistic of one parameter to all of them at once.

    Args:
        statistic: maps ``(x, n)``, with ``x`` of shape ``(chains, draws)`` and a scalar integer ``n``, to an array.
        draws: shape ``(chains, draws, ...)``, padded at the end of the draw axis when ``n`` is given.
        n: number of draws that count, possibly traced; all of them by default.

    Returns:
        Shape ``(..., *statistic)``; NaN where a draw that counts is NaN and everywhere below four draws.
    """
    x = floating(draws)
    chains, length, *shape = x.shape
    count = jnp.asarray(length if n is None else n, int)

    def guarded(x):
        mask = counted(x, count)
        value = statistic(jnp.where(mask, x, 0), count)
        return jnp.where(jnp.any(mask & jnp.isnan(x)) | (count < MIN_DRAWS), jnp.nan, value)

    if length < MIN_DRAWS:
        return jnp.full(shape, jnp.nan, x.dtype)
    values = jax.vmap(guarded)(jnp.moveaxis(x.reshape(chains, length, -1), -1, 0))
    return values.reshape(*shape, *values.shape[1:])


def floating(values: ArrayLike) -> Array:
    """As an array of floats: floats keep their type, integers and booleans take JAX's default."""
    values = jnp.asarray(values)
    return values if jnp.issubdtype(values.dtype, jnp.floating) else values.astype(float)


def counted(x: Array, n: Array) -> Array:
    """Which draws count: a mask of the shape of ``x``."""
    return jnp.broadcast_to(jnp.arange(x.shape[-1]) < n, x.shape)


def split(x: Array, n: Array) -> tuple[Array, Array]:
    """Cut every chain in two halves; the middle draw of an odd number is left out.

    Args:
        x: shape ``(chains, draws)``.
        n: number of draws that count.

    Returns:
        The halves, shape ``(2 * chains, draws // 2)``, and the number of draws that count in each.
    """
    width, half = x.shape[1] // 2, n // 2
    second = lax.dynamic_slice_in_dim(x, n - half, width, axis=1)
    return jnp.concatenate([x[:, :width], second]), half


def moments(x: Array, mask: Array) -> tuple[Array, Array]:
    """Mean and unbiased variance of the draws that count, over the last axis.

    Deviations are taken from the first draw, so that a constant chain has variance zero to the last bit and a large
    common offset costs no digits in float32.

    Args:
        x: shape ``(..., draws)``; the first draw counts.
        mask: which draws count, of the same shape.

    Returns:
        Two arrays of shape ``(...)``.
    """
    origin, size = x[..., :1], mask.sum(-1, keepdims=True).astype(x.dtype)
    shifted = jnp.where(mask, x - origin, 0)
    mean = shifted.sum(-1, keepdims=True) / size
    deviation = jnp.where(mask, shifted - mean, 0)
    return (origin + mean)[..., 0], (jnp.square(deviation).sum(-1, keepdims=True) / (size - 1))[..., 0]


def pool(x: Array, n: Array) -> tuple[Array, Array]:
    """Sort the draws of all chains together, padding last.

    Returns:
        The sorted draws, shape ``(chains * draws,)``, infinite beyond the last one that counts, and how many count.
    """
    return sort(jnp.where(counted(x, n), x, jnp.inf).ravel()), x.shape[0] * n


def sort(values: Array) -> Array:
    """Sort floats (not NaN) through integers of the same order, which XLA's CPU sort compares five times as fast.

    IEEE 754 numbers order as their bit patterns do, once the bits below the sign of the negative ones are flipped.
    """
    integer = jnp.dtype(f"int{8 * values.dtype.itemsize}")
    flip = lambda bits: jnp.where(bits < 0, bits ^ jnp.iinfo(integer).max, bits)
    bits = flip(lax.bitcast_convert_type(values, integer))
    return lax.bitcast_convert_type(flip(jnp.sort(bits)), values.dtype)


def quantile(ordered: Array, size: Array, prob: ArrayLike) -> Array:
    """Linear interpolation between order statistics (type 7 of Hyndman and Fan 1996), as NumPy's default.

    Args:
        ordered: sorted values, padded at the end.
        size: how many of them count.
        prob: probability in [0, 1].
    """
    position = jnp.asarray(prob, ordered.dtype) * (size - 1).astype(ordered.dtype)
    below = jnp.floor(position)
    low, high = ordered[below.astype(int)], ordered[jnp.ceil(position).astype(int)]
    return jnp.where(low == high, low, low + (position - below) * (high - low))


def median(ordered: Array, size: Array) -> Array:
    """Mean of the two middle order statistics."""
    return (ordered[(size - 1) // 2] + ordered[size // 2]) / 2
