"""Which XLA this is, and decompositions of many lanes, with which that of jaxlib 0.10 would hang."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
from jax.interpreters import batching
from jax.lax import linalg

#: Whether XLA's code for CPUs is that of jaxlib 0.10, the last for Python 3.11. It makes a kernel of every fusion of a loop, and one
#: may choose between two code generators; that of 0.12 joins kernels by itself, and to name the choice is an error.
FORMER_XLA = jaxlib.__version__.startswith("0.10.")
#: Order cubed times matrices of a batch that jaxlib 0.10 does in one piece; it does so up to 4 million, and with 5.3 million no more.
_IN_ONE_PIECE = 2_000_000
_PRIMITIVES = (linalg.cholesky_p, linalg.triangular_solve_p, linalg.lu_p, linalg.eigh_p)
_USUAL = {one: batching.fancy_primitive_batchers[one] for one in _PRIMITIVES} if FORMER_XLA else {}


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Inside, `jax.vmap` decomposes large matrices on a CPU one after the other.

    jaxlib 0.10 gives the parts of a batch to a pool of threads and waits for them *in* one of these threads. As many of these waits at a
    time as there are threads wait for ever: with two cores as two devices, the Cholesky factors of two lanes of 150 rows on each.
    A model that is itself a batch of large matrices keeps it in every lane, and may still hang.
    """
    if jax.default_backend() != "cpu":
        yield
        return
    batching.fancy_primitive_batchers.update({one: partial(_mapped, one) for one in _USUAL})
    try:
        yield
    finally:
        # Never what was found above: another thread may be tracing.
        batching.fancy_primitive_batchers.update(_USUAL)


def _mapped(primitive: Any, axis_data: Any, arguments: Sequence[Any], axes: Sequence[Any], **settings: Any) -> Any:
    """A batching rule of a decomposition or a solution."""
    cost = max(matrices.size * matrices.shape[-1] for matrices in arguments)
    if cost <= _IN_ONE_PIECE or all(axis is None for axis in axes):
        return _USUAL[primitive](axis_data, arguments, axes, **settings)
    batched = {i: jnp.moveaxis(arguments[i], axis, 0) for i, axis in enumerate(axes) if axis is not None}
    own = lambda one: [one.get(i, argument) for i, argument in enumerate(arguments)]
    found = jax.lax.map(lambda one: primitive.bind(*own(one), **settings), batched)
    return found, jax.tree.map(lambda _: 0, found)
