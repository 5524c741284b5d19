"""Masks over the leading axes of arrays: broadcasting, selecting and blanking."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.typing import Array, SamePyTree


def widen(mask: Any, ndim: int) -> Any:
    """A mask (NumPy or JAX) with axes of length one appended, to broadcast against arrays of ``ndim`` axes."""
    return mask.reshape(mask.shape + (1,) * (ndim - mask.ndim))


def cover(mask: Any, shape: tuple[int, ...]) -> Any:
    """A mask (or None) of leading axes over all axes of ``shape``; one of other axes stays as it is."""
    if mask is None or mask.ndim >= len(shape) or mask.shape != shape[: mask.ndim]:
        return mask
    return jnp.broadcast_to(widen(mask, len(shape)), shape)


def select(condition: Array, this: SamePyTree, other: SamePyTree) -> SamePyTree:
    """``this`` where ``condition``, else ``other``, leaf by leaf."""
    chosen: SamePyTree = jax.tree.map(lambda a, b: jnp.where(widen(condition, jnp.ndim(a)), a, b), this, other)
    return chosen


def blank(tree: SamePyTree, valid: Any) -> SamePyTree:
    """``tree`` with NaN (integers: 0) where not ``valid``, leaf by leaf; NumPy leaves stay on the host."""

    def one(x: Any) -> Any:
        xp: Any = np if isinstance(x, np.ndarray) else jnp
        fill = np.nan if jnp.issubdtype(x.dtype, jnp.floating) else 0
        return xp.where(widen(valid, x.ndim), x, xp.asarray(fill, x.dtype))

    blanked: SamePyTree = jax.tree.map(one, tree)
    return blanked
