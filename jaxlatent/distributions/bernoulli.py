"""NumPyro's Bernoulli distribution at logits, with a faster density."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.typing import Array, ArrayLike


class BernoulliLogits(dist.BernoulliLogits):
    """A `numpyro.distributions.BernoulliLogits` whose log density is one softplus: ten times as fast on 60,000 values."""

    def log_prob(self, value: ArrayLike) -> Array:
        """The log probability, of the batch shape; exact at infinite logits."""
        # A sign rather than a select: XLA's CPU code for a softplus of a broadcast select takes five times as long.
        return -jax.nn.softplus((1 - 2 * jnp.asarray(value, jnp.result_type(self.logits, float))) * self.logits)

    def by_component(self, value: ArrayLike) -> Array:
        """Log probabilities ``(K, ...)`` of values ``(...)``, for logits ``(..., K)``.

        They are computed with axes in reverse, as logits of ready families and messages of hidden Markov models lie in memory.
        """
        sign = 1 - 2 * jnp.asarray(value, jnp.result_type(self.logits, float))
        rank = max(self.logits.ndim, sign.ndim + 1)
        reverse: Callable[[Array, int], Array] = lambda x, rank: x.reshape((1,) * (rank - x.ndim) + x.shape).T
        return jnp.moveaxis(-jax.nn.softplus(reverse(sign, rank - 1) * reverse(self.logits, rank)).T, -1, 0)
