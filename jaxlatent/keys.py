"""Seeds: an int, or a typed JAX key."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.errors import InputError
from jaxlatent.typing import Key


def as_key(seed: int | Key, what: str = "fit") -> Key:
    """A typed JAX key from an int or such a key; ``what`` takes it, for messages."""
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        return jax.random.key(int(seed))
    if isinstance(seed, jax.Array) and jnp.issubdtype(seed.dtype, jax.dtypes.prng_key) and seed.shape == ():
        return seed
    raise InputError(
        f"{what}(seed=...)",
        got=f"{type(seed).__name__} {seed!r}",
        expected="an int or a typed JAX key",
        remedy="pass an int, or jax.random.key(0) instead of jax.random.PRNGKey(0).",
    )
