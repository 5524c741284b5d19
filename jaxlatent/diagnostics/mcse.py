"""Monte Carlo standard errors: how far may an estimate from these draws be from the posterior's own value?"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import betainc, ndtr

from jaxlatent.diagnostics.chains import counted, moments, over_parameters, pool, split
from jaxlatent.diagnostics.ess import effective, of_quantiles
from jaxlatent.typing import Array, ArrayLike


@jax.jit
def mcse_mean(draws: ArrayLike, n: ArrayLike | None = None) -> Array:
    """Standard error of the posterior mean: standard deviation over the root of the ESS for the mean.

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``, in the units of the draws.
    """
    return over_parameters(_mean_error, draws, n)


@jax.jit
def mcse_sd(draws: ArrayLike, n: ArrayLike | None = None) -> Array:
    """Standard error of the posterior standard deviation, by the delta method on the mean of squared deviations.

    Kenney and Keeping (1951), page 141, with the ESS of the squared deviations in place of the number of draws.

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``, in the units of the draws.
    """
    return over_parameters(_sd_error, draws, n)


@jax.jit
def mcse_quantile(draws: ArrayLike, prob: ArrayLike, n: ArrayLike | None = None) -> Array:
    """Standard error of a posterior quantile: half the width of its central 68% interval.

    Vehtari et al. 2021, section 4.4: the interval is that of a beta distribution with the ESS for the quantile.

    Args:
        draws: shape ``(chains, draws, ...)``.
        prob: the probability of the quantile, a scalar; may be traced.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``, in the units of the draws.
    """
    return over_parameters(lambda x, n: _quantile_error(x, n, jnp.asarray(prob, x.dtype)), draws, n)


def _mean_error(x, n):
    _, variance = moments(x.ravel(), counted(x, n).ravel())
    return jnp.sqrt(variance / effective(*split(x, n)))


def _sd_error(x, n):
    mask = counted(x, n)
    mean, variance = moments(x.ravel(), mask.ravel())
    # in units of the standard deviation the fourth power stays finite in float32
    scale = jnp.sqrt(jnp.where(variance > 0, variance, 1))
    squares = jnp.where(mask, jnp.square((x - mean) / scale), 0)
    total = mask.sum().astype(x.dtype)
    second, fourth = squares.sum() / total, jnp.square(squares).sum() / total
    return scale * jnp.sqrt((fourth - jnp.square(second)) / effective(*split(squares, n)) / second) / 2


def _quantile_error(x, n, prob):
    effective_size = of_quantiles(x, n, prob[None])[0]
    one_sigma = ndtr(jnp.asarray([-1, 1], x.dtype))
    interval = _beta_quantile(one_sigma, effective_size * prob + 1, effective_size * (1 - prob) + 1)
    ordered, size = pool(x, n)
    low, high = interval * size.astype(x.dtype) - 1
    index = jnp.stack([jnp.floor(low), jnp.ceil(high)]).astype(int).clip(0, size - 1)
    return jnp.diff(ordered[index])[0] / 2


def _beta_quantile(prob, a, b):
    """Inverse of the regularised incomplete beta function, by bisection to the last bit of the number's type."""

    def halve(_, bracket):
        low, high = bracket
        middle = (low + high) / 2
        left = betainc(a, b, middle) < prob
        return jnp.where(left, middle, low), jnp.where(left, high, middle)

    low, high = lax.fori_loop(0, jnp.finfo(prob.dtype).nmant, halve, (jnp.zeros_like(prob), jnp.ones_like(prob)))
    return (low + high) / 2
