r"""NumPyro's Poisson and negative binomial distributions, with a density that stays accurate where counts or concentrations are large.

Textbook densities are differences of numbers of the size :math:`y \log y`, of which 32 bits lose 0.01 nats at counts of 10,000 and 1 at
a million; at a concentration of a billion, probabilities of up to :math:`e^{170}` came out, and a search for a maximum finds them. As in
Loader (2000, "Fast and accurate computation of binomial probabilities"), what is large is the deviance
:math:`D(x, m) = x \log(x / m) + m - x`, here computed without cancellation, and what is left of :math:`\log y!` is small:
:math:`R(x) = \log \Gamma(x + 1) - x \log x + x`.
"""

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import gammaln, xlogy

from jaxlatent.typing import Array, ArrayLike

#: From here on `_remainder` is Stirling's series, to the precision of 64 bits.
_LARGE = 16.0
#: Terms of the series of `_deviance`, to the precision of 64 bits where it is used.
_TERMS = 8


class Poisson(dist.Poisson):
    """A `numpyro.distributions.Poisson` that is accurate at large counts.

    Args:
        rate: the mean of the counts.
    """

    def log_prob(self, value: ArrayLike) -> Array:
        """The log probability, of the batch shape."""
        value, rate = _floats(value, self.rate)
        return -_deviance(value, rate) - _remainder(value)


class NegativeBinomial2(dist.NegativeBinomial2):
    """A `numpyro.distributions.NegativeBinomial2` that is accurate at large counts and concentrations.

    Args:
        mean: of the counts.
        concentration: the variance is ``mean + mean**2 / concentration``.
    """

    def log_prob(self, value: ArrayLike) -> Array:
        """The log probability, of the batch shape."""
        value, mean, size = _floats(value, self.mean, self.concentration)
        off, total, scale = value - mean, size + value, size + mean
        tiny = jnp.finfo(value.dtype).tiny
        positive, logs = jnp.where(value > 0, value, 1.0), jnp.log(total) - jnp.log(scale)
        # The difference of the deviances of ``total`` and ``value``, whose large terms cancel.
        far = logs + jnp.log(jnp.maximum(mean, tiny)) - jnp.log(positive)
        apart = value * _log1p(-off / positive * (size / scale), far) + size * _log1p(off / scale, logs)
        rest = _remainder(total) - _remainder(size) - (jnp.log(total) - jnp.log(size))
        return apart + rest - _remainder(value)


def _floats(*values: ArrayLike) -> tuple[Array, ...]:
    dtype: Any = jnp.result_type(float)
    return tuple(jnp.asarray(value, dtype) for value in values)


def _log1p(x: Array, far: Array) -> Array:
    """The logarithm of ``1 + x``, which is ``far`` as computed where that is not close to one."""
    near = jnp.abs(x) < 0.5
    return jnp.where(near, jnp.log1p(jnp.where(near, x, 0.0)), far)


def _deviance(x: Array, m: Array) -> Array:
    """``x log(x / m) + m - x``; ``m`` where ``x`` is zero."""
    off = x - m
    positive = jnp.where(x > 0, x, 1.0)
    ratio = off / (positive + m)
    # log(x / m) is 2 artanh(ratio).
    square, series = ratio**2, jnp.zeros_like(ratio)
    for j in range(_TERMS, 0, -1):
        series = (series + 1 / (2 * j + 1)) * square
    near = off * ratio + 2 * positive * ratio * series
    far = positive * (jnp.log(positive) - jnp.log(m)) - off
    return jnp.where(x > 0, jnp.where(jnp.abs(ratio) < 0.1, near, far), m)


def _remainder(x: Array) -> Array:
    """``log Gamma(x + 1) - x log(x) + x``, for ``x`` of at least zero."""
    large, small = jnp.maximum(x, _LARGE), jnp.minimum(x, _LARGE)
    inverse = 1 / large
    square = inverse**2
    stirling = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    return jnp.where(
        x < _LARGE, gammaln(small + 1) - xlogy(small, small) + small, 0.5 * jnp.log(2 * jnp.pi * large) + stirling
    )
