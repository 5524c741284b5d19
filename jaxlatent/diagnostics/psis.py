"""Pareto-smoothed importance sampling (Vehtari, Simpson, Gelman, Yao and Gabry 2024)."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp

from jaxlatent.diagnostics.chains import floating
from jaxlatent.typing import Array, ArrayLike

#: A tail of this many weights or fewer cannot be fitted.
_SHORT_TAIL = 4
#: Log weights that differ by this many units of rounding, of the terms that they are differences of, are equal.
_ROUNDING = 16


@jax.jit
def psis(log_weights: ArrayLike, terms: ArrayLike = 1.0) -> tuple[Array, Array]:
    """Replace the largest importance weights by order statistics of a generalised Pareto distribution fitted to them.

    Vehtari et al. (2024), algorithm 1. The tail is the ``min(S / 5, 3 sqrt(S))`` largest of ``S`` weights, rounded
    up, less those that tie with the largest weight outside it. Agrees with ``arviz.psislw`` 0.2x; ArviZ 1.x rounds
    down. All weights equal down to the tail's end, up to rounding, is the best case of all, and has ``k_hat`` minus
    infinity; ArviZ reports plus infinity or an error, or the shape of the rounding errors.

    Args:
        log_weights: shape ``(..., S)``, up to a constant.
        terms: what the log weights are differences of, ``(..., S)``; the largest finite one tells their rounding.

    Returns:
        The smoothed weights, normalised, on log scale, shape ``(..., S)``; and the shape ``k_hat`` of the tail, shape
        ``(...)``: estimates are reliable up to ``min(1 - 1 / log10(S), 0.7)`` (see `khat_threshold`). A tail of one to
        four weights has ``k_hat`` infinity and is left as it is.
    """
    x = floating(log_weights)
    size = jnp.abs(jnp.broadcast_to(jnp.asarray(terms, x.dtype), x.shape))
    error = _ROUNDING * jnp.finfo(x.dtype).eps * jnp.max(jnp.where(jnp.isfinite(size), size, 0), -1)
    smooth = partial(_smooth, length=tail_length(x.shape[-1]))
    smoothed, k_hat = jax.vmap(smooth)(x.reshape(-1, x.shape[-1]), error.ravel())
    return smoothed.reshape(x.shape), k_hat.reshape(x.shape[:-1])


def tail_length(samples: int) -> int:
    """Number of the largest weights to smooth."""
    return math.ceil(min(samples / 5, 3 * math.sqrt(samples)))


def khat_threshold(samples: int) -> float:
    """The largest ``k_hat`` at which estimates from so many draws are reliable (Vehtari et al. 2024)."""
    return min(1 - 1 / math.log10(samples), 0.7)


def _smooth(x: Array, error: Array, length: int) -> tuple[Array, Array]:
    x = x - x.max()
    values, index = lax.top_k(x, length + 1)
    # XLA flushes denormal numbers to zero: above this floor the difference of any two weights is a normal one
    info = jnp.finfo(x.dtype)
    cutoff = jnp.maximum(values[-1], math.log(info.tiny / info.eps))
    tail, index = values[-2::-1], index[-2::-1]
    above = (tail > cutoff) & (cutoff < -error)
    count = above.sum()
    # the difference of two weights that are nearly equal, without cancellation
    excess = jnp.where(above, -jnp.exp(tail) * jnp.expm1(cutoff - tail), 0)
    k_hat, sigma = _fit_generalised_pareto(excess, count)
    place = (jnp.arange(length) - (length - count)).astype(x.dtype)
    prob = jnp.where(above, (place + 0.5) / count.astype(x.dtype), 0.5)
    smoothed = jnp.log(_generalised_pareto_quantile(prob, k_hat, sigma) + jnp.exp(cutoff))
    fitted = (count > _SHORT_TAIL) & jnp.isfinite(k_hat)
    x = x.at[index].set(jnp.where(above & fitted, jnp.minimum(smoothed, 0), tail))
    k_hat = jnp.where(count > _SHORT_TAIL, k_hat, jnp.where(count > 0, jnp.inf, -jnp.inf))
    return x - logsumexp(x), jnp.where(jnp.isnan(cutoff), jnp.nan, k_hat)


def _fit_generalised_pareto(excess: Array, count: Array) -> tuple[Array, Array]:
    """Shape and scale by the quasi-Bayesian estimator of Zhang and Stephens (2009), with a weak prior on the shape.

    The prior is worth ten observations at shape 1/2 (Vehtari et al. 2024).

    Args:
        excess: ascending, shape ``(length,)``; the last ``count`` are positive and are the data, the others are zero.
        count: number of data.
    """
    length, size = len(excess), count.astype(excess.dtype)
    quartile = excess[length - count + jnp.floor(size / 4 + 0.5).astype(int) - 1]
    largest = excess[-1]
    # Zhang and Stephens' grid of theta has 30 + sqrt(count) points; beyond them the grid is padding
    grid = jnp.arange(1, 31 + math.isqrt(length)).astype(excess.dtype)
    points = 30 + jnp.floor(jnp.sqrt(size))
    theta = 1 / largest + (1 - jnp.sqrt(points / (grid - 0.5))) / (3 * quartile)
    theta = jnp.where(grid <= points, theta, theta[0])
    shape: Callable[[Array], Array] = lambda theta: jnp.log1p(-theta * excess).sum() / size
    shapes = jax.vmap(shape)(theta)
    profile = size * (jnp.log(-theta / shapes) - shapes - 1)
    weights = jax.nn.softmax(jnp.where(grid <= points, profile, -jnp.inf))
    # in very heavy tails theta spans hundreds of powers of ten: rounding errors in the weights must not reach it
    weights = jnp.where(weights >= 10 * jnp.finfo(weights.dtype).eps, weights, 0)
    best = (weights * theta).sum() / weights.sum()
    k = shape(best)
    return (size * k + 10 * 0.5) / (size + 10), -k / best


def _generalised_pareto_quantile(prob: Array, k: Array, sigma: Array) -> Array:
    """Inverse distribution function at shape ``k`` and scale ``sigma``."""
    exponential = -jnp.log1p(-prob)
    safe = jnp.where(k == 0, 1, k)
    return sigma * jnp.where(k == 0, exponential, jnp.expm1(safe * exponential) / safe)
