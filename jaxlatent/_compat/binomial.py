"""Draws of binomials by JAX instead of NumPyro.

- Versions: NumPyro 0.22, with jax 0.10 and 0.12.
- Upstream: none known for this case; pyro-ppl/numpyro#1461 is an earlier one. A rejection loop under ``vmap`` evaluates its condition
  twice in each iteration: to decide whether it goes on, and which lanes have ended. Where rounding differs between the two, a lane at the
  border of acceptance has ended for the one and not for the other. JAX's own loop carries whether a lane has ended.
- Gain: draws that end; of a few million draws of NumPyro's under ``vmap`` one does not.
"""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.typing import Array, Key


def draw(d: dist.Distribution, family: dist.Distribution, key: Key) -> Array:
    """One draw of ``d``, which is ``family`` after any `expand` and `to_event`."""
    if not isinstance(family, dist.BinomialProbs | dist.BinomialLogits):
        value: Array = d.sample(key)
        return value
    count = jnp.broadcast_to(family.total_count, d.shape()).astype(jnp.result_type(float))
    probability = jnp.broadcast_to(family.probs, d.shape()).astype(count.dtype)
    return jax.random.binomial(key, count, probability, dtype=count.dtype).astype(jnp.result_type(int))
