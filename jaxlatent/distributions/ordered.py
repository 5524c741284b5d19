"""Ordered priors, which prevent label switching in mixtures."""

import math

import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxlatent.errors import InputError
from jaxlatent.typing import Array, ArrayLike, Key


class Ordered(dist.Distribution):
    """The order statistics of ``size`` independent draws from one distribution: an increasing vector.

    The density is K! times that of the unordered draws, and so is normalised.

    Args:
        base: of batch shape () on the real line.
        size: ``K``.
    """

    support = constraints.ordered_vector
    pytree_data_fields = ("base",)
    pytree_aux_fields = ("size",)

    def __init__(self, base: dist.Distribution, size: int):
        self.base, self.size = base, size
        super().__init__((), (size,))

    def log_prob(self, value: ArrayLike) -> Array:
        """Log density of an increasing vector ``(..., K)``."""
        return jnp.sum(self.base.log_prob(value), -1) + math.lgamma(self.size + 1)

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Array:
        """Sorted draws ``sample_shape + (K,)``."""
        return jnp.sort(self.base.sample(key, (*sample_shape, self.size)), -1)


def ordered(d: dist.Distribution) -> Ordered:
    """Order an i.i.d. prior, as in ``jl.ordered(dist.Normal(0.0, 5.0).expand([3]))``: no label switching.

    Raises:
        InputError: unless ``d`` is one distribution on the real line, expanded to ``[K]``.
    """
    base = d.base_dist if isinstance(d, dist.Independent) else d
    plain = base.base_dist if isinstance(base, dist.ExpandedDistribution) else base
    if d.shape() != (max(d.shape(), default=0),) or plain.shape() != () or plain.support is not constraints.real:
        raise InputError(
            "ordered(...)",
            got=f"{type(plain).__name__} of shape {d.shape()}",
            expected="a scalar distribution on the real line, expanded to [K]",
            remedy="for example dist.Normal(0.0, 5.0).expand([3]); order the logarithm of a positive parameter.",
        )
    return Ordered(plain, d.shape()[0])
