"""Ordered priors, which prevent label switching in mixtures."""

import math

import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxlatent.errors import InputError
from jaxlatent.typing import Array, ArrayLike, Key


class Ordered(dist.Distribution):
    """Independent draws given that they are increasing.

    Of one distribution these are its order statistics, whose density is K! times that of the unordered draws. Of distributions that differ
    it is the product of their densities on the increasing vectors, not normalised, as in Stan, and there are no prior draws.

    Args:
        base: of batch shape () or (K,) on the real line or the positive numbers.
        size: ``K``.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 (NumPyro's interface)
    pytree_data_fields = ("base",)
    pytree_aux_fields = ("size",)

    def __init__(self, base: dist.Distribution, size: int):
        self.base, self.size = base, size
        super().__init__((), (size,))

    @property
    def support(self) -> constraints.Constraint:
        """Increasing vectors, or increasing vectors of positive numbers."""
        real = self.base.support is constraints.real
        return constraints.ordered_vector if real else constraints.positive_ordered_vector

    def log_prob(self, value: ArrayLike) -> Array:
        """Log density of an increasing vector ``(..., K)``."""
        orders = math.lgamma(self.size + 1) if self.base.batch_shape == () else 0.0
        return jnp.sum(self.base.log_prob(value), -1) + orders

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Array:
        """Sorted draws ``sample_shape + (K,)``.

        Raises:
            NotImplementedError: if the distributions of the entries differ.
        """
        if self.base.batch_shape:
            raise NotImplementedError
        return jnp.sort(self.base.sample(key, (*sample_shape, self.size)), -1)


def ordered(d: dist.Distribution) -> Ordered:
    """Order a prior of a vector, as in ``jl.ordered(dist.Normal(0.0, 5.0).expand([3]))``: no label switching.

    Args:
        d: of shape ``(K,)``, with independent entries on the real line or all positive. Where they differ, as in
            ``dist.Normal(jnp.array([-1.0, 0.0, 1.0]), 1.0)``, the density is that of ``d`` on increasing vectors, not normalised.

    Raises:
        InputError: for other priors.
    """
    base = d.base_dist if isinstance(d, dist.Independent) else d
    plain = base.base_dist if isinstance(base, dist.ExpandedDistribution) else base
    if len(d.shape()) != 1 or plain.event_shape or not (plain.support is constraints.real or _positive(plain.support)):
        raise InputError(
            "ordered(...)",
            got=f"{type(plain).__name__} of shape {d.shape()}",
            expected="a vector of independent entries on the real line, or of positive ones",
            remedy="for example dist.Normal(0.0, 5.0).expand([3]).",
        )
    return Ordered(plain if plain.shape() in ((), d.shape()) else base, d.shape()[0])


def _positive(support: constraints.Constraint) -> bool:
    """Whether a support is that of the positive numbers, which a truncated distribution tells by its bound."""
    kinds = tuple(type(kind(0.0)) for kind in (constraints.greater_than, constraints.greater_than_eq))
    bound = support.lower_bound if isinstance(support, kinds) else None
    return isinstance(bound, int | float) and bound == 0
