"""Effective sample size of the bulk, tails, mean and quantiles."""

from collections.abc import Sequence

from scipy.fft import next_fast_len

from jaxlatent.diagnostics.arrays import Either, cumulative_minimum, diagnostic, namespace
from jaxlatent.diagnostics.chains import counted, over_parameters, pool, quantile, split
from jaxlatent.diagnostics.ranks import rank_normalise
from jaxlatent.typing import AnyArray, ArrayLike

#: Draws with a smaller range are constant, and their effective sample size is their number, as in ArviZ.
_CONSTANT = 1e-15


@diagnostic()
def ess_bulk(draws: ArrayLike, n: ArrayLike | None = None) -> AnyArray:
    """Bulk effective sample size: split chains, rank-normalised (Vehtari et al. 2021, section 4).

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``. NaN for NaN draws or fewer than four.
    """
    return over_parameters(lambda x, n: effective(*_ranked(*split(x, n))), draws, n)


@diagnostic("probs")
def ess_tail(draws: ArrayLike, n: ArrayLike | None = None, *, probs: tuple[float, float] = (0.05, 0.95)) -> AnyArray:
    """Tail effective sample size: the smaller ESS of two extreme quantiles (Vehtari et al. 2021, section 4).

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.
        probs: the two quantiles.

    Returns:
        Shape ``(...)``. NaN for NaN draws or fewer than four.
    """
    return over_parameters(lambda x, n: of_quantiles(x, n, probs).min(-1), draws, n)


@diagnostic()
def ess_mean(draws: ArrayLike, n: ArrayLike | None = None) -> AnyArray:
    """Effective sample size for the mean: split chains, not rank-normalised (Gelman et al. 2013, section 11.5).

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``. NaN for NaN draws or fewer than four.
    """
    return over_parameters(lambda x, n: effective(*split(x, n)), draws, n)


@diagnostic()
def ess_quantile(draws: ArrayLike, prob: ArrayLike, n: ArrayLike | None = None) -> AnyArray:
    """Effective sample size for a quantile: that of the indicator of draws below it (Vehtari et al. 2021, section 4).

    Args:
        draws: shape ``(chains, draws, ...)``.
        prob: the probability of the quantile, a scalar; may be traced.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``. NaN for NaN draws or fewer than four.
    """
    return over_parameters(lambda x, n: of_quantiles(x, n, (prob,))[..., 0], draws, n)


def of_quantiles(x: Either, n: Either, probs: Sequence[ArrayLike]) -> Either:
    """Effective sample sizes for the quantiles ``probs``, shape ``(..., quantiles)``."""
    xp, (ordered, size) = namespace((x, n, probs)), pool(x, n)
    limits = xp.stack([quantile(ordered, size, prob) for prob in probs], -1)
    below = (x[..., None, :, :] <= limits[..., None, None]).astype(x.dtype)
    return effective(*split(below, n))


def effective(x: Either, n: Either) -> Either:
    """Effective sample size of chains, neither split nor rank-normalised, by Geyer's initial monotone positive sequence.

    Vehtari et al. 2021, section 3.2; Geyer 1992, section 3.3: autocorrelations of all chains, compared with the
    variance over all chains, are summed in pairs of neighbouring lags, up to the first pair that is not positive, no
    pair counting for more than an earlier one. The last pair contributes its even lag if that is positive, as in Stan
    and ArviZ.

    Args:
        x: shape ``(..., chains, draws)``.
        n: number of draws that count.

    Returns:
        Shape ``(...)``, at most ``S log10(S)`` for ``S`` draws in all.
    """
    xp = namespace((x, n))
    chains, length = x.shape[-2:]
    mask, size = counted(x, n), xp.asarray(n, x.dtype)
    total = chains * size
    shifted = xp.where(mask, x - x[..., :1, :1], 0)
    spread = shifted.max((-2, -1)) - shifted.min((-2, -1))
    # the result does not depend on the scale, and squares of large numbers would overflow in float32
    shifted = shifted / xp.where(spread > 0, spread, 1)[..., None, None]
    means = shifted.sum(-1) / size
    covariance = _autocovariance(xp.where(mask, shifted - means[..., None], 0)).mean(-2) / size
    variance = covariance[..., :1] + (xp.var(means, -1, ddof=1, keepdims=True) if chains > 1 else 0)
    correlation = 1 - (covariance[..., :1] * size / (size - 1) - covariance) / variance
    correlation = xp.where(xp.arange(length) == 0, 1, correlation)

    pairs = correlation[..., : length // 2 * 2].reshape(*correlation.shape[:-1], -1, 2)
    even, pairs = pairs[..., 0], pairs.sum(-1)
    positive = xp.cumprod((pairs > 0).astype(int), -1).sum(-1)
    final = xp.minimum(positive, xp.maximum((n - 3) // 2, 0))[..., None]
    earlier = xp.arange(pairs.shape[-1]) < final
    last_even, last_pair = (xp.take_along_axis(values, final, -1)[..., 0] for values in (even, pairs))
    last = xp.where((last_even > 0) | (last_pair >= 0), last_even, 0)
    time = -1 + 2 * xp.where(earlier, cumulative_minimum(pairs), 0).sum(-1) + last
    return xp.where(spread < _CONSTANT, total, total / xp.maximum(time, 1 / xp.log10(total)))


def _ranked(x: Either, n: Either) -> tuple[Either, Either]:
    return rank_normalise(x, n), n


def _autocovariance(centred: Either) -> Either:
    """Sums of lagged products along the last axis, by a Fourier transform padded against wrap-around."""
    xp, length = namespace(centred), centred.shape[-1]
    padded = next_fast_len(2 * length, real=True)
    spectrum = xp.fft.rfft(centred, padded)
    return xp.fft.irfft(xp.square(spectrum.real) + xp.square(spectrum.imag), padded)[..., :length]
