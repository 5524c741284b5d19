"""Masks and conditions lead: their axes are the first axes of what they are about."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxlatent.typing import Array, PyTree


def widen(mask: Any, ndim: int) -> Any:
    """A mask with axes of length one appended, for arrays of ``ndim`` axes; of NumPy or JAX, as it came."""
    return mask.reshape(mask.shape + (1,) * (ndim - mask.ndim))


def select(condition: Array, this: PyTree, other: PyTree) -> PyTree:
    """``this`` where ``condition``, else ``other``, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(widen(condition, jnp.ndim(a)), a, b), this, other)
