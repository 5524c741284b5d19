"""Masks and conditions lead: their axes are the first axes of what they are about."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.typing import Array, PyTree


def widen(mask: Any, ndim: int) -> Any:
    """A mask with axes of length one appended, for arrays of ``ndim`` axes; of NumPy or JAX, as it came."""
    return mask.reshape(mask.shape + (1,) * (ndim - mask.ndim))


def select(condition: Array, this: PyTree, other: PyTree) -> PyTree:
    """``this`` where ``condition``, else ``other``, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(widen(condition, jnp.ndim(a)), a, b), this, other)


def blank(tree: PyTree, there: Any) -> PyTree:
    """NaN (counts: 0) where nothing is ``there``, leaf by leaf; on the host where the leaf is."""

    def one(x: Any) -> Any:
        xp: Any = np if isinstance(x, np.ndarray) else jnp
        nothing = np.nan if jnp.issubdtype(x.dtype, jnp.floating) else 0
        return xp.where(widen(there, x.ndim), x, xp.asarray(nothing, x.dtype))

    return jax.tree.map(one, tree)
