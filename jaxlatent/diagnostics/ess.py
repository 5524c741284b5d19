"""Effective sample size: how many independent draws are the draws worth?"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from scipy.fft import next_fast_len

from jaxlatent.diagnostics.chains import counted, over_parameters, pool, quantile, split
from jaxlatent.diagnostics.ranks import rank_normalise
from jaxlatent.typing import Array, ArrayLike

#: A range below this counts as constant; such draws are worth their number, as in ArviZ.
CONSTANT = 1e-15


@jax.jit
def ess_bulk(draws: ArrayLike, n: ArrayLike | None = None) -> Array:
    """Bulk effective sample size: split chains, rank-normalised (Vehtari et al. 2021, section 4).

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``. NaN for NaN draws or fewer than four.
    """
    return over_parameters(lambda x, n: effective(*_ranked(*split(x, n))), draws, n)


@partial(jax.jit, static_argnames="probs")
def ess_tail(draws: ArrayLike, n: ArrayLike | None = None, *, probs: tuple[float, float] = (0.05, 0.95)) -> Array:
    """Tail effective sample size: the smaller ESS of two extreme quantiles (Vehtari et al. 2021, section 4).

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.
        probs: the two quantiles.

    Returns:
        Shape ``(...)``. NaN for NaN draws or fewer than four.
    """
    return over_parameters(lambda x, n: of_quantiles(x, n, jnp.asarray(probs)).min(), draws, n)


@jax.jit
def ess_mean(draws: ArrayLike, n: ArrayLike | None = None) -> Array:
    """Effective sample size for the mean: split chains, as they are (Gelman et al. 2013, section 11.5).

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``. NaN for NaN draws or fewer than four.
    """
    return over_parameters(lambda x, n: effective(*split(x, n)), draws, n)


@jax.jit
def ess_quantile(draws: ArrayLike, prob: ArrayLike, n: ArrayLike | None = None) -> Array:
    """Effective sample size for a quantile: that of the indicator of lying below it (Vehtari et al. 2021, section 4).

    Args:
        draws: shape ``(chains, draws, ...)``.
        prob: the probability of the quantile, a scalar; may be traced.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``. NaN for NaN draws or fewer than four.
    """
    return over_parameters(lambda x, n: of_quantiles(x, n, jnp.asarray(prob)[None])[0], draws, n)


def of_quantiles(x: Array, n: Array, probs: Array) -> Array:
    """Effective sample sizes for the quantiles ``probs`` of one parameter, shape ``(quantiles,)``."""
    ordered, size = pool(x, n)
    below = lambda prob: (x <= quantile(ordered, size, prob)).astype(x.dtype)
    return jax.vmap(lambda prob: effective(*split(below(prob), n)))(probs)


def effective(x: Array, n: Array) -> Array:
    """Effective sample size of chains as they are, by Geyer's initial monotone positive sequence.

    Vehtari et al. 2021, section 3.2; Geyer 1992, section 3.3: autocorrelations of all chains, compared with the
    variance over all chains, are summed in pairs of neighbouring lags, up to the first pair that is not positive, no
    pair counting for more than an earlier one. The last pair contributes its even lag if that is positive, as in Stan
    and ArviZ.

    Args:
        x: shape ``(chains, draws)``.
        n: number of draws that count.

    Returns:
        A scalar, at most ``S log10(S)`` for ``S`` draws in all.
    """
    chains, length = x.shape
    mask, size = counted(x, n), n.astype(x.dtype)
    total = chains * size
    shifted = jnp.where(mask, x - x[0, 0], 0)
    spread = shifted.max() - shifted.min()
    # the result does not depend on the scale, and squares of large numbers would overflow in float32
    shifted = shifted / jnp.where(spread > 0, spread, 1)
    means = shifted.sum(1) / size
    covariance = _autocovariance(jnp.where(mask, shifted - means[:, None], 0)).mean(0) / size
    variance = covariance[0] + (jnp.var(means, ddof=1) if chains > 1 else 0)
    correlation = (1 - (covariance[0] * size / (size - 1) - covariance) / variance).at[0].set(1)

    even, odd = correlation[: length // 2 * 2].reshape(-1, 2).T
    pairs = even + odd
    positive = lax.cumprod((pairs > 0).astype(int)).sum()
    final = jnp.minimum(positive, jnp.maximum((n - 3) // 2, 0))
    earlier = jnp.arange(len(pairs)) < final
    last = jnp.where((even[final] > 0) | (pairs[final] >= 0), even[final], 0)
    time = -1 + 2 * jnp.where(earlier, lax.cummin(pairs), 0).sum() + last
    return jnp.where(spread < CONSTANT, total, total / jnp.maximum(time, 1 / jnp.log10(total)))


def _ranked(x, n):
    return rank_normalise(x, n), n


def _autocovariance(centred):
    """Sums of lagged products along the last axis, by a Fourier transform padded so that nothing wraps around."""
    length = centred.shape[-1]
    padded = next_fast_len(2 * length, real=True)
    spectrum = jnp.fft.rfft(centred, padded)
    return jnp.fft.irfft(jnp.square(spectrum.real) + jnp.square(spectrum.imag), padded)[..., :length]
