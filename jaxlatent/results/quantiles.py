"""Quantiles by bisection of a distribution function, and grids that are finest where a distribution is dense."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np


def quantiles(below: Callable[[np.ndarray], np.ndarray], levels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The least numbers at which a distribution function reaches ``levels``; NaN where it is NaN.

    Floating-point numbers are bisected in their order, which takes one step a bit, and no bracket: whatever the location, the scale, the
    support and the tails, which need have no moments.

    Args:
        below: the distribution function, of numbers of ``shape``.
        levels: of the last axis of ``shape``, between 0 and 1.
        shape: of the result.
    """
    dtype = np.dtype(jnp.result_type(float))
    order = np.dtype(f"i{dtype.itemsize}")
    last = int(np.array(np.finfo(dtype).max).view(order))

    def number(place: np.ndarray) -> np.ndarray:
        """The floating-point number at a place in their order, 0 at the place 0."""
        size = np.abs(place).astype(order).view(dtype)
        signed: np.ndarray = np.where(place < 0, -size, size)
        return signed

    low, high = np.full(shape, -last), np.full(shape, last)
    for _ in range(8 * dtype.itemsize):
        # The mean of two integers whose sum may overflow.
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        reached = below(number(middle)) >= levels
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    found = number(high)
    return np.where(np.isnan(below(found)), np.nan, found)


def grid_between(knots: np.ndarray, levels: np.ndarray, size: int) -> np.ndarray:
    """Points ``(..., size)`` from the first to the last of the quantiles ``knots`` ``(..., Q)``, at ``levels`` ``(Q,)``.

    Half of them are evenly spaced and half evenly probable, so that neither heavy tails nor a distant component hide a peak.
    """
    first, last = knots[..., :1], knots[..., -1:]
    share = (levels - levels[0]) / (levels[-1] - levels[0]) + (knots - first) / (last - first)
    wanted = np.linspace(0, 2, size)
    rows = zip(share.reshape(-1, len(levels)), knots.reshape(-1, len(levels)), strict=True)
    grids = np.stack([np.interp(wanted, *row) for row in rows])
    return grids.reshape(*knots.shape[:-1], size)
