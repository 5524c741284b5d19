"""A pytree of arrays as one array of bytes, and back."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.typing import PyTree


def pack(tree: PyTree) -> np.ndarray:
    """The bytes of all leaves, one after the other; keys as their data."""
    parts = [np.ascontiguousarray(_plain(leaf)).reshape(-1).view(np.uint8) for leaf in jax.tree.leaves(tree)]
    return np.concatenate(parts)


def unpack(packed: np.ndarray, like: PyTree) -> PyTree:
    """Undo `pack`.

    Args:
        packed: ``(bytes,)``.
        like: the structure, with arrays or `jax.ShapeDtypeStruct` for leaves.

    Raises:
        ValueError: if the structure has another number of bytes.
    """
    leaves, structure = jax.tree.flatten(like)
    parts, start = [], 0
    for leaf in leaves:
        own = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        stop = start + own.size * own.dtype.itemsize
        part: Any = packed[start:stop].view(own.dtype).reshape(own.shape)
        parts.append(jax.random.wrap_key_data(part, impl=_generator(leaf)) if _is_key(leaf) else part)
        start = stop
    if start != packed.size:
        raise ValueError(f"{packed.size} bytes for a structure of {start}")
    return jax.tree.unflatten(structure, parts)


def _plain(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _generator(key: Any) -> str:
    """The random number generator of keys of which only the shape is known."""
    found: list[str] = []
    jax.eval_shape(lambda key: found.append(str(jax.random.key_impl(key))), key)
    return found[0]
