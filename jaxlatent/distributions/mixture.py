"""NumPyro's mixture, with a faster density."""

import jax.numpy as jnp
from jax.scipy.special import logsumexp
from numpyro.distributions.mixtures import MixtureSameFamily

from jaxlatent.typing import Array


class Mixture(MixtureSameFamily):
    """A `numpyro.distributions.MixtureSameFamily` that sums over components on a leading axis.

    Sums over a short last axis do not vectorise on a CPU: value and gradient for 20 sets of parameters, 1000 observations and 3
    components took 1.5 ms so and 0.65 ms like this.
    """

    def log_prob(self, value: Array, intermediates=None) -> Array:
        """The log density, of the batch shape."""
        inner = self.component_distribution.log_prob(jnp.expand_dims(value, -1 - self.event_dim))
        logits = self.mixing_distribution.logits
        joint = jnp.moveaxis(logits + inner, -1, 0)
        return logsumexp(joint, 0) - logsumexp(jnp.moveaxis(logits, -1, 0), 0)
