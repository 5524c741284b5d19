"""`Factor`: any term of a log density, as a distribution."""

import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxlatent.typing import Array, ArrayLike, Key


class Factor(dist.Distribution):
    """Adds ``log_prob`` to a log density, independently of the value.

    In a `jaxlatent.Model` it needs no entry in the data, and is not predicted. A `Masked` entry under its name masks the term
    elementwise.

    Args:
        log_prob: the term; its shape is the batch shape.
    """

    support = constraints.real
    pytree_data_fields = ("_log_prob",)

    def __init__(self, log_prob: ArrayLike):
        self._log_prob = jnp.asarray(log_prob)
        super().__init__(self._log_prob.shape, ())

    def log_prob(self, value: ArrayLike | None) -> Array:
        """The term."""
        return self._log_prob

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Array:
        """Placeholders: zeros."""
        return jnp.zeros(sample_shape + self.batch_shape)
