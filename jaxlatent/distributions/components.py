"""Log densities under each of several components, with the components on the leading axis.

Sums over components are then sums of long vectors. On a CPU, sums over a last axis, or over a first axis made by transposing *densities*,
took up to four times as long; so the parameters are transposed instead.
"""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.distributions.bernoulli import BernoulliLogits
from jaxlatent.distributions.normals import Normals
from jaxlatent.typing import AnyArray, Array, ArrayLike


def by_component(d: dist.Distribution, value: AnyArray) -> Array:
    """Log densities ``(K, ...)`` of values ``(..., *event)`` under each component of ``d``, of batch shape ``(..., K)``."""
    inner, events = (d.base_dist, d.reinterpreted_batch_ndims) if isinstance(d, dist.Independent) else (d, 0)
    # Parameters that are common to all values need not be expanded.
    inner = inner.base_dist if isinstance(inner, dist.ExpandedDistribution) else inner
    if isinstance(inner, Normals | BernoulliLogits) and events == 0:
        return inner.by_component(value)
    if type(inner) is not dist.Normal:
        return jnp.moveaxis(d.log_prob(jnp.expand_dims(value, -1 - d.event_dim)), -1, 0)
    rank = max(len(inner.batch_shape), value.ndim + 1)
    loc, scale = (components_first(x, rank, -1 - events) for x in (inner.loc, inner.scale))
    # Integers have no derivative, and the rule below asks for one.
    value = jnp.asarray(value, jnp.result_type(value, loc))
    return jnp.sum(normal_log_density(value, loc, scale), tuple(range(-events, 0)))


def components_first(x: ArrayLike, rank: int, axis: int = -1) -> Array:
    """Prepend axes of length one up to ``rank``, and move ``axis`` to the front."""
    return jnp.moveaxis(jnp.reshape(x, (1,) * (rank - jnp.ndim(x)) + jnp.shape(x)), axis, 0)


@jax.custom_jvp
def normal_log_density(value: Array, loc: Array, scale: Array) -> Array:
    """The normal log density with derivatives in closed form, which take half the time of autodiff on a CPU."""
    return -0.5 * ((value - loc) / scale) ** 2 - jnp.log(scale) - 0.5 * jnp.log(2 * jnp.pi)


@normal_log_density.defjvp
def _(primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    value, loc, scale = primals
    value_dot, loc_dot, scale_dot = tangents
    rate = 1 / scale
    z = (value - loc) * rate
    density = -0.5 * z * z - jnp.log(scale) - 0.5 * jnp.log(2 * jnp.pi)
    return density, (z * (loc_dot - value_dot) + (z * z - 1) * scale_dot) * rate
