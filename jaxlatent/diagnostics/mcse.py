"""Monte Carlo standard errors of posterior means, standard deviations and quantiles."""

from scipy.special import ndtr

from jaxlatent.diagnostics.arrays import Either, beta_quantile, diagnostic, namespace
from jaxlatent.diagnostics.chains import counted, moments, over_parameters, pool, split
from jaxlatent.diagnostics.ess import effective, of_quantiles
from jaxlatent.typing import AnyArray, ArrayLike


@diagnostic()
def mcse_mean(draws: ArrayLike, n: ArrayLike | None = None) -> AnyArray:
    """Standard error of the posterior mean: standard deviation over the root of the ESS for the mean.

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``, in the units of the draws.
    """
    return over_parameters(_mean_error, draws, n)


@diagnostic()
def mcse_sd(draws: ArrayLike, n: ArrayLike | None = None) -> AnyArray:
    """Standard error of the posterior standard deviation, by the delta method on the mean of squared deviations.

    Kenney and Keeping (1951), page 141, with the ESS of the squared deviations in place of the number of draws.

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``, in the units of the draws.
    """
    return over_parameters(_sd_error, draws, n)


@diagnostic()
def mcse_quantile(draws: ArrayLike, prob: ArrayLike, n: ArrayLike | None = None) -> AnyArray:
    """Standard error of a posterior quantile: half the width of its central 68% interval.

    Vehtari et al. 2021, section 4.4: the interval is that of a beta distribution with the ESS for the quantile.

    Args:
        draws: shape ``(chains, draws, ...)``.
        prob: the probability of the quantile, a scalar; may be traced.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``, in the units of the draws.
    """
    return over_parameters(lambda x, n: _quantile_error(x, n, namespace(x).asarray(prob, x.dtype)), draws, n)


def _mean_error(x: Either, n: Either) -> Either:
    _, variance = _pooled_moments(x, n)
    return namespace((x, n)).sqrt(variance / effective(*split(x, n)))


def _sd_error(x: Either, n: Either) -> Either:
    xp, mask = namespace((x, n)), counted(x, n)
    mean, variance = _pooled_moments(x, n)
    # in units of the standard deviation the fourth power stays finite in float32
    scale = xp.sqrt(xp.where(variance > 0, variance, 1))
    squares = xp.where(mask, xp.square((x - mean[..., None, None]) / scale[..., None, None]), 0)
    total = xp.asarray(x.shape[-2] * n, x.dtype)
    second, fourth = squares.sum((-2, -1)) / total, xp.square(squares).sum((-2, -1)) / total
    return scale * xp.sqrt((fourth - xp.square(second)) / effective(*split(squares, n)) / second) / 2


def _pooled_moments(x: Either, n: Either) -> tuple[Either, Either]:
    """Mean and variance of the draws of all chains."""
    flat = (*x.shape[:-2], -1)
    return moments(x.reshape(flat), counted(x, n).reshape(flat))


def _quantile_error(x: Either, n: Either, prob: Either) -> Either:
    xp, effective_size = namespace((x, n, prob)), of_quantiles(x, n, (prob,))
    one_sigma = xp.asarray(ndtr([-1.0, 1.0]), x.dtype)
    interval = beta_quantile(one_sigma, effective_size * prob + 1, effective_size * (1 - prob) + 1)
    ordered, size = pool(x, n)
    ends = interval * xp.asarray(size, x.dtype) - 1
    index = xp.stack([xp.floor(ends[..., 0]), xp.ceil(ends[..., 1])], -1)
    # no effective sample size, no quantile
    index = xp.where(xp.isnan(index), 0, index).astype(int).clip(0, size - 1)
    return xp.diff(xp.take_along_axis(ordered, index, -1))[..., 0] / 2
