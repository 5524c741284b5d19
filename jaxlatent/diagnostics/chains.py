"""Shared parts of the convergence diagnostics: padded arrays of chains, splitting, moments, quantiles.

Every diagnostic is written for arrays ``x`` of shape ``(..., chains, draws)`` whose first ``n`` draws per chain count; the rest is padding.
`over_parameters` brings draws into that shape. As ``n`` may be traced, one compiled program serves a growing number of draws; on the host
nothing is padded.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jaxlatent.diagnostics.arrays import Either, namespace, sort, windows
from jaxlatent.masks import widen
from jaxlatent.typing import AnyArray, ArrayLike

#: Fewer draws than this give NaN, as in ArviZ and Stan: there is nothing left to split.
_MIN_DRAWS = 4
#: Draws per chunk on the host, to fit the processor's cache.
_CHUNK_SIZE = 2**15


def over_parameters(statistic: Callable[[Either, Either], Either], draws: ArrayLike, n: ArrayLike | None) -> AnyArray:
    """Apply a statistic to all parameters.

    Args:
        statistic: maps ``(x, n)``, with ``x`` of shape ``(parameters, chains, draws)`` and a scalar integer ``n``, to an array that
            leads with ``parameters``.
        draws: shape ``(chains, draws, ...)``, padded at the end of the draw axis when ``n`` is given.
        n: number of draws that count, possibly traced; all of them by default.

    Returns:
        Shape ``(..., *statistic)``, of the type of the draws; NaN where a draw that counts is NaN and everywhere below four draws.
    """
    xp = namespace((draws, n))
    if xp is np and n is not None:
        draws = np.asarray(draws)[:, : int(np.asarray(n))]
    x = floating(draws)
    chains, length, *shape = x.shape
    if length < _MIN_DRAWS:
        unknown: AnyArray = xp.full(shape, xp.nan, x.dtype)
        return unknown
    columns = xp.moveaxis(x.reshape(chains, length, -1), -1, 0)
    if xp is np:
        values = _on_host(statistic, columns)
    else:
        count = jnp.asarray(length if n is None else n, int)
        values = _guarded(statistic, columns, count)
    ordered: AnyArray = values.astype(x.dtype).reshape((*shape, *values.shape[1:]))
    return ordered


def _on_host(statistic: Callable[[Either, Either], Either], columns: Either) -> Either:
    """Apply the statistic in double precision, to a chunk of parameters at a time."""
    _, chains, length = columns.shape
    step, count = max(1, _CHUNK_SIZE // (chains * length)), np.asarray(length)
    with np.errstate(all="ignore"):
        parts = [
            _guarded(statistic, np.ascontiguousarray(columns[i : i + step], float), count)
            for i in range(0, max(len(columns), 1), step)
        ]
    return np.concatenate(parts)


def _guarded(statistic: Callable[[Either, Either], Either], x: Either, n: Either) -> Either:
    xp, mask = namespace((x, n)), counted(x, n)
    value = statistic(xp.where(mask, x, 0), n)
    undefined = xp.any(mask & xp.isnan(x), (-2, -1)) | (n < _MIN_DRAWS)
    return xp.where(widen(undefined, value.ndim), xp.nan, value)


def floating(values: ArrayLike) -> Either:
    """Convert to an array of floats: floats keep their type, integers and booleans become the default float."""
    xp = namespace(values)
    array = xp.asarray(values)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)


def counted(x: Either, n: Either) -> Either:
    """The mask of the draws that count, of the shape of ``x``."""
    xp = namespace((x, n))
    return xp.broadcast_to(xp.arange(x.shape[-1]) < n, x.shape)


def split(x: Either, n: Either) -> tuple[Either, Either]:
    """Cut every chain in two halves; the middle draw of an odd number is left out.

    Args:
        x: shape ``(..., chains, draws)``.
        n: number of draws that count.

    Returns:
        The halves, shape ``(..., 2 * chains, draws // 2)``, and the number of draws that count in each.
    """
    width, half = x.shape[-1] // 2, n // 2
    return namespace((x, n)).concatenate([x[..., :width], windows(x, n - half, width)], -2), half


def moments(x: Either, mask: Either) -> tuple[Either, Either]:
    """Mean and unbiased variance of the draws that count, over the last axis.

    Deviations are taken from the first draw, so that a constant chain has variance zero to the last bit and a large
    common offset costs no digits in float32.

    Args:
        x: shape ``(..., draws)``; the first draw counts.
        mask: which draws count, of the same shape.

    Returns:
        Two arrays of shape ``(...)``.
    """
    xp = namespace((x, mask))
    origin, size = x[..., :1], mask.sum(-1, keepdims=True).astype(x.dtype)
    shifted = xp.where(mask, x - origin, 0)
    mean = shifted.sum(-1, keepdims=True) / size
    deviation = xp.where(mask, shifted - mean, 0)
    return (origin + mean)[..., 0], (xp.square(deviation).sum(-1, keepdims=True) / (size - 1))[..., 0]


def pool(x: Either, n: Either) -> tuple[Either, Either]:
    """Sort the draws of all chains together, padding last.

    Returns:
        The sorted draws, shape ``(..., chains * draws)``, infinite beyond the last one that counts, and how many count.
    """
    values, size = together(x, n)
    return sort(values), size


def together(x: Either, n: Either) -> tuple[Either, Either]:
    """The draws of all chains on one axis, infinite where they do not count, and how many count."""
    xp = namespace((x, n))
    return xp.where(counted(x, n), x, xp.inf).reshape(*x.shape[:-2], -1), x.shape[-2] * n


def quantile(ordered: Either, size: Either, prob: ArrayLike) -> Either:
    """Linear interpolation between order statistics (type 7 of Hyndman and Fan 1996), as NumPy's default.

    Args:
        ordered: sorted values, padded at the end of the last axis.
        size: how many of them count.
        prob: probability in [0, 1], a scalar.
    """
    xp = namespace((ordered, size, prob))
    position = xp.asarray(prob, ordered.dtype) * xp.asarray(size - 1, ordered.dtype)
    below = xp.floor(position)
    low, high = ordered[..., below.astype(int)], ordered[..., xp.ceil(position).astype(int)]
    return xp.where(low == high, low, low + (position - below) * (high - low))


def median(ordered: Either, size: Either) -> Either:
    """Mean of the two middle order statistics."""
    return (ordered[..., (size - 1) // 2] + ordered[..., size // 2]) / 2
