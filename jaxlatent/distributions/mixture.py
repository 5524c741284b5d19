"""NumPyro's mixture of one family, with a faster density."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from numpyro.distributions.mixtures import MixtureSameFamily

from jaxlatent.distributions.components import by_component, components_first
from jaxlatent.errors import require
from jaxlatent.typing import Array


class Mixture(MixtureSameFamily):
    """A `numpyro.distributions.MixtureSameFamily` that works with the components on a leading axis.

    The support may be that of a `Categorical`, which NumPyro refuses as if the number of classes could differ by component.
    """

    def __init__(self, labels: dist.Distribution, components: dist.Distribution):
        self._mixing_distribution, self._component_distribution = labels, components
        self._mixture_size = jnp.shape(labels.probs)[-1]
        require(
            components.batch_shape[-1:] == (self._mixture_size,),
            "a mixture",
            got=f"{self._mixture_size} weights for components of batch shape {components.batch_shape}",
            expected="a weight for each entry of the last axis",
        )
        batch_shape = jnp.broadcast_shapes(labels.batch_shape, components.batch_shape[:-1])
        super(MixtureSameFamily, self).__init__(batch_shape=batch_shape, event_shape=components.event_shape)

    def log_prob(self, value: Array, intermediates: Any = None) -> Array:
        """The log density, of the batch shape."""
        densities = by_component(self.component_distribution, value)
        log_prob = _log_mixture(components_first(self.mixing_distribution.logits, densities.ndim), densities)
        leading = jnp.shape(value)[: jnp.ndim(value) - self.event_dim]
        return jnp.broadcast_to(log_prob, jnp.broadcast_shapes(self.batch_shape, leading))


@jax.custom_jvp
def _log_mixture(logits: Array, densities: Array) -> Array:
    """The log of a mean of ``exp(densities)`` weighted by ``softmax(logits)``, over the first axis."""
    return logsumexp(logits + densities, 0) - logsumexp(logits, 0)


@_log_mixture.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    logits, densities = primals
    prior, prior_sum = _softmax_and_sum(logits)
    posterior, posterior_sum = _softmax_and_sum(logits + densities)
    moved = (posterior - prior) * tangents[0] + posterior * tangents[1]
    return posterior_sum - prior_sum, jnp.sum(moved, 0)


def _softmax_and_sum(logits: Array) -> tuple[Array, Array]:
    """Softmax and logsumexp over the first axis, which share their exponentials."""
    # The result does not depend on it; and the derivative of a maximum is NaN if the compiler rounds its argument in two ways.
    highest = jax.lax.stop_gradient(jnp.max(logits, 0))
    highest = jnp.where(jnp.isfinite(highest), highest, 0.0)
    odds = jnp.exp(logits - highest)
    total = jnp.sum(odds, 0)
    return odds / total, highest + jnp.log(total)
