"""Geweke's diagnostic: the difference in mean between the beginning and the end of a chain."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.diagnostics.chains import counted, floating, moments
from jaxlatent.diagnostics.ess import effective
from jaxlatent.errors import InputError
from jaxlatent.typing import Array, ArrayLike


def geweke(draws: ArrayLike, intervals: int = 15, first: float = 0.1, last: float = 0.5) -> tuple[np.ndarray, Array]:
    """z-scores of the difference in mean between beginning and end, from each of several starting points on (Geweke 1992).

    The starting points are evenly spaced over the draws before the last fraction, as in PyMC3. Unlike there, the difference is
    divided by its standard error, with variance sd² / ESS for the mean of a slice: PyMC3 divided by the standard deviation of
    the draws, so that scores were too small by the root of the ESS. A chain in equilibrium has approximately standard normal
    scores; if only the early starting points have |z| > 2, the chain needs more warm-up.

    Args:
        draws: shape ``(chains, draws, ...)``.
        intervals: number of starting points.
        first: fraction of the draws after the starting point that make the beginning.
        last: fraction of them that make the end.

    Returns:
        The starting points, shape ``(intervals,)``, and the scores, shape ``(chains, intervals, ...)``; NaN where a
        slice is constant, contains a NaN or has fewer than four draws.

    Raises:
        InputError: fractions that are not positive or that overlap, or no intervals.
    """
    if not (first > 0 and last > 0 and first + last <= 1 and intervals > 0):
        raise InputError(
            "geweke(intervals=..., first=..., last=...)",
            got=f"intervals={intervals}, first={first}, last={last}",
            expected="a positive number of intervals and positive fractions with first + last <= 1",
            remedy="keep the defaults intervals=15, first=0.1, last=0.5.",
        )
    end = jnp.shape(draws)[1] - 1
    starts = np.linspace(0, int((1 - last) * end), num=intervals, dtype=int)
    tails = (end - last * (end - starts)).astype(int)
    sizes = (first * (end - starts)).astype(int), end + 1 - tails
    return starts, _scores(draws, starts, tails, *sizes, widths=tuple(int(size.max()) for size in sizes))


@partial(jax.jit, static_argnames="widths")
def _scores(
    draws: Array, begin: Array, end: Array, begin_sizes: Array, end_sizes: Array, *, widths: tuple[int, int]
) -> Array:
    x = jnp.moveaxis(floating(draws), 1, -1)

    def interval(begin: Array, end: Array, begin_size: Array, end_size: Array) -> Array:
        head = _mean_and_error(x, begin, begin_size, widths[0])
        tail = _mean_and_error(x, end, end_size, widths[1])
        return (head[0] - tail[0]) / jnp.sqrt(head[1] + tail[1])

    return jax.vmap(interval, out_axes=1)(begin, end, begin_sizes, end_sizes)


def _mean_and_error(x: Array, start: Array, size: Array, width: int) -> tuple[Array, Array]:
    """Mean, and its variance, of ``size`` draws from ``start`` on along the last axis."""
    part = jnp.take(x, start + jnp.arange(width), axis=-1, mode="clip")
    mask = counted(part, size)
    mean, variance = moments(part, mask)
    worth = jnp.vectorize(lambda row: effective(row[None], size), signature="(d)->()")(jnp.where(mask, part, 0))
    return mean, jnp.where(size < 4, jnp.nan, variance / worth)
