"""The transform of one parameter between its constrained value and its unconstrained part of the position.

It is NumPyro's bijector to the support, or the coordinates of a `Recentred` prior.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import biject_to

from jaxlatent.distributions.centring import Informed, LikelihoodFactor, Recentred
from jaxlatent.typing import Array


def unconstrained_shape(d: dist.Distribution) -> tuple[int, ...]:
    """The unconstrained shape of one draw of ``d``."""
    shape: tuple[int, ...] = d.shape() if isinstance(d, Recentred) else biject_to(d.support).inverse_shape(d.shape())
    return shape


def constrain(d: dist.Distribution, z: Array, guide: LikelihoodFactor | None = None) -> tuple[Array, Array]:
    """The value of ``d`` at unconstrained ``z``, and the log density of ``z`` (Jacobian included).

    Args:
        d: a prior.
        z: unconstrained, of `unconstrained_shape`.
        guide: Gaussian factor of the likelihood, for `jaxlatent.informed` priors.

    Returns:
        value: of shape ``d.shape()``.
        log_density: a scalar.
    """
    d = _resolve(d, guide)
    if isinstance(d, Recentred):
        value = d.coordinates.forward(z)
        if d.standard is not None:
            return value, jnp.sum(d.standard.log_prob(z))
        return value, jnp.sum(d.base.log_prob(value)) + d.coordinates.log_det()
    bijector = biject_to(d.support)
    value = bijector(z)
    return value, jnp.sum(d.log_prob(value)) + jnp.sum(bijector.log_abs_det_jacobian(z, value))


def unconstrain(d: dist.Distribution, value: Array, guide: LikelihoodFactor | None = None) -> Array:
    """The inverse of `constrain`."""
    d = _resolve(d, guide)
    if isinstance(d, Recentred):
        return d.coordinates.inverse(value)
    position: Array = biject_to(d.support).inv(value)
    return position


def _resolve(d: dist.Distribution, guide: LikelihoodFactor | None) -> dist.Distribution:
    return d.resolve(guide) if isinstance(d, Informed) else d
