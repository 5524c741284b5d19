"""Which XLA this is, and decompositions of many lanes, with which that of jaxlib 0.10 would hang."""

import math
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
#: Operations that jaxlib 0.10 leaves to one thread.
_IN_ONE_PIECE = 200_000
#: Operations of a decomposition, or a solution with a square right-hand side, by its order cubed: rather too many than too few.
_COSTS = {
    linalg.cholesky_p: 1,
    linalg.triangular_solve_p: 1,
    linalg.lu_p: 1,
    linalg.qr_p: 2,
    linalg.eigh_p: 5,
    linalg.eig_p: 10,
    linalg.svd_p: 10,
}
_USUAL = {one: batching.fancy_primitive_batchers[one] for one in _COSTS} if FORMER_XLA else {}


@contextmanager
def few_at_a_time() -> Iterator[None]:
    """Inside, `jax.vmap` decomposes matrices on a CPU few at a time.

    jaxlib 0.10 gives the parts of a large batch to a pool of threads and waits for them *in* one of these threads. As many of these
    waits at a time as there are threads wait for ever: with two cores as two devices, the Cholesky factors of two lanes of 150 rows on
    each, or the inverses of a hundred of 18. A model that is itself a batch of large matrices keeps it in every lane, and may still hang.
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
    own = lambda shape, axis: shape if axis is None else (*shape[:axis], *shape[axis + 1 :])
    shapes = [own(argument.shape, axis) for argument, axis in zip(arguments, axes, strict=True)]
    each = _COSTS[primitive] * max(math.prod(shape) * max(shape[-2:]) for shape in shapes)
    together = max(1, _IN_ONE_PIECE // max(each, 1))
    if together >= axis_data.size or all(axis is None for axis in axes):
        return _USUAL[primitive](axis_data, arguments, axes, **settings)
    batched = {i: jnp.moveaxis(arguments[i], axis, 0) for i, axis in enumerate(axes) if axis is not None}

    def one(some: dict[int, Any]) -> Any:
        return primitive.bind(*(some.get(i, argument) for i, argument in enumerate(arguments)), **settings)

    found = jax.lax.map(one, batched, batch_size=together)
    return found, jax.tree.map(lambda _: 0, found)
