"""`cdf` and `density` of a distribution of numbers, for values in its support or not, and mixtures of any components.

NumPyro's functions hold in the support only: outside it they are NaN, as of a Gamma, or a number without meaning, as of an Exponential;
and an expanded distribution has no distribution function.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.distributions.supports import entry_support
from jaxlatent.typing import Array, ArrayLike


def cdf(d: dist.Distribution, value: ArrayLike) -> Array:
    """The probability of at most ``value``, of the batch shape of ``d`` broadcast with that of ``value``.

    Raises:
        NotImplementedError: for families whose distribution function NumPyro does not know.
    """
    return _averaged(_cdf, d, jnp.asarray(value, float))


def density(d: dist.Distribution, value: ArrayLike) -> Array:
    """The density at ``value``, of discrete distributions the probability, which may be a float; shaped as that of `cdf`."""
    return _averaged(_density, d, jnp.asarray(value, float))


def _averaged(one: Callable[[Any, Array], Array], d: Any, value: Array) -> Array:
    """``one(d, value)``, averaged over the components of a mixture."""
    while isinstance(d, dist.ExpandedDistribution):
        d = d.base_dist
    if isinstance(d, dist.MixtureSameFamily):
        parts = _averaged(one, d.component_distribution, value[..., None])
    elif isinstance(d, dist.MixtureGeneral):
        each = [_averaged(one, part, value) for part in d.component_distributions]
        parts = jnp.stack(jnp.broadcast_arrays(*each), -1)
    else:
        return one(d, value)
    return jnp.sum(parts * d.mixing_distribution.probs, -1)


def _cdf(d: Any, value: Array) -> Array:
    low, high = _ends(d.support)
    # The ends of a continuous support have no mass, and some functions are NaN there.
    below = value < low if d.is_discrete else value <= low
    return jnp.where(below, 0.0, jnp.where(value >= high, 1.0, _cdf_inside(d, jnp.clip(value, low, high))))


def _cdf_inside(d: Any, value: Array) -> Array:
    if type(d).cdf is not dist.TransformedDistribution.cdf:
        below: Array = d.cdf(value)
        return below
    # As NumPyro does it, but for values that no value is transformed to, as of a log-normal that is shifted.
    sign: Any = 1
    for transform in reversed(d.transforms):
        sign, value = sign * transform.sign, transform.inv(jnp.clip(value, *_ends(transform.codomain)))
    below = cdf(d.base_dist, value)
    return jnp.where(sign < 0, 1 - below, below)


def _density(d: Any, value: Array) -> Array:
    if d.is_discrete:
        inside = entry_support(d.support)(value)
        # Categories are places, which are integers.
        return jnp.where(inside, jnp.exp(d.log_prob(jnp.where(inside, value, 0.0).astype(int))), 0.0)
    low, high = _ends(d.support)
    outside = (value < low) | (value > high)
    return jnp.where(outside, 0.0, jnp.exp(d.log_prob(jnp.clip(value, low, high))))


def _ends(support: Any) -> tuple[Any, Any]:
    """The least and the greatest number of a support, which may be infinite."""
    support = entry_support(support)
    return getattr(support, "lower_bound", -jnp.inf), getattr(support, "upper_bound", jnp.inf)
