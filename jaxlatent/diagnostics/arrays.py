"""Array functions for both NumPy (on the host) and JAX (in compiled programs), in which the convergence diagnostics are written.

Draws of a result are on the host, where compiling a program for their shape would take longer than NumPy takes for the whole table. All
functions work along the last axis.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jax import lax

from jaxlatent.typing import Array

#: An array of NumPy or of JAX, or a scalar of either: their methods are the same, their types have no common one.
Either: TypeAlias = Any

P = ParamSpec("P")
Result = TypeVar("Result")


def diagnostic(*static: str) -> Callable[[Callable[P, Result]], Callable[P, Result]]:
    """Decorate a function to be compiled for JAX arrays, and called directly otherwise.

    Args:
        static: names of static arguments of the compiled function.
    """

    def decorate(fn: Callable[P, Result]) -> Callable[P, Result]:
        program = jax.jit(fn, static_argnames=static)

        @wraps(fn)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            chosen: Callable[P, Result] = fn if namespace((args, kwargs)) is np else program
            return chosen(*args, **kwargs)

        return call

    return decorate


def namespace(values: Any) -> Any:
    """``jax.numpy`` if any leaf is an array of JAX, traced ones included, else ``numpy``."""
    return jnp if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(values)) else np


def sort(values: Either) -> Either:
    """Sort floats (not NaN); in JAX as integers of the same order, which XLA sorts five times as fast on a CPU.

    IEEE 754 numbers have the order of their bit patterns, once the bits below the sign of the negative ones are flipped.
    """
    if namespace(values) is np:
        return np.sort(values, -1)
    integer = jnp.dtype(f"int{8 * values.dtype.itemsize}")
    flip: Callable[[Array], Array] = lambda bits: jnp.where(bits < 0, bits ^ jnp.iinfo(integer).max, bits)
    bits = flip(lax.bitcast_convert_type(values, integer))
    return lax.bitcast_convert_type(flip(jnp.sort(bits)), values.dtype)


def average_ranks(values: Either, size: Either) -> Either:
    """Ranks from 1 on; ties share their average.

    Args:
        values: shape ``(..., values)``, infinite in the padding.
        size: number of values without padding. Infinite values among them have the average rank of these only.
    """
    if namespace((values, size)) is np:
        return _average_ranks(values)
    ordered = sort(values)
    search: Callable[[str], Callable[..., Array]] = lambda side: jnp.vectorize(
        lambda a, v: jnp.searchsorted(a, v, side=side), signature="(s),(s)->(s)"
    )
    below, upto = search("left")(ordered, values), search("right")(ordered, values)
    return (below + jnp.minimum(upto, jnp.asarray(size, upto.dtype)) + 1).astype(values.dtype) / 2


def _average_ranks(values: Either) -> Either:
    """Like `scipy.stats.rankdata`, whose module takes 0.7 s to import."""
    order = np.argsort(values, -1)
    ordered, place = np.take_along_axis(values, order, -1), np.arange(values.shape[-1])
    new = np.ones((*values.shape[:-1], values.shape[-1] + 1), bool)
    new[..., 1:-1] = ordered[..., 1:] != ordered[..., :-1]
    first = np.maximum.accumulate(np.where(new[..., :-1], place, 0), -1)
    last = np.minimum.accumulate(np.where(new[..., 1:], place, len(place))[..., ::-1], -1)[..., ::-1]
    ranks = np.empty_like(values)
    np.put_along_axis(ranks, order, (first + last + 2) / 2, -1)
    return ranks


def windows(values: Either, start: Either, width: int) -> Either:
    """A window of ``width`` entries from ``start`` on."""
    if namespace((values, start)) is np:
        return values[..., start : start + width]
    return lax.dynamic_slice_in_dim(values, start, width, axis=-1)


def cumulative_minimum(values: Either) -> Either:
    """The running minimum."""
    return np.minimum.accumulate(values, -1) if namespace(values) is np else lax.cummin(values, values.ndim - 1)


def normal_quantile(prob: Either) -> Either:
    """Inverse of the normal distribution function."""
    return scipy.special.ndtri(prob) if namespace(prob) is np else jax.scipy.special.ndtri(prob)


def beta_quantile(prob: Either, a: Either, b: Either) -> Either:
    """Inverse of the regularised incomplete beta function; in JAX by bisection to the last bit of the number's type."""
    if namespace((prob, a, b)) is np:
        return scipy.special.betaincinv(a, b, prob)

    def halve(_: Array, bracket: tuple[Either, Either]) -> tuple[Either, Either]:
        low, high = bracket
        middle = (low + high) / 2
        left = jax.scipy.special.betainc(a, b, middle) < prob
        return jnp.where(left, middle, low), jnp.where(left, high, middle)

    prob, a, b = jnp.broadcast_arrays(prob, a, b)
    low, high = lax.fori_loop(0, jnp.finfo(prob.dtype).nmant, halve, (jnp.zeros_like(prob), jnp.ones_like(prob)))
    return (low + high) / 2
