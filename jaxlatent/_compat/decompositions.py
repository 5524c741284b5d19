"""Deadlock of batched matrix decompositions on a CPU.

- Versions: jaxlib 0.10.
- Upstream: none known in jaxlib's tracker; qiskit-community/ffsim#684 reports it. Since jaxlib 0.10 LAPACK's routines are parallel: the
  parts of a large batch go to a thread pool, and a thread of the same pool waits for them. As many such waits as the pool has threads
  deadlock: with two cores as two devices, the Cholesky factors of two lanes of 150 rows on each, or the inverses of a hundred of 18.
- Gain: no deadlock. Inside `jaxlatent._compat.tracing`, `jax.vmap` decomposes few matrices at a time, so that no batch is large enough
  to be split over threads. A model with its own batch of large matrices, in one lane of one dataset, is not mapped and may still hang.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import linalg

from jaxlatent._compat.rules import Rule, within_jaxlatent
from jaxlatent._compat.tracing import on_cpu
from jaxlatent._compat.versions import FORMER_XLA

#: Operations up to which jaxlib 0.10 uses one thread.
_ONE_THREAD = 200_000
#: Upper bounds of the operations of a decomposition, or a solve with a square right-hand side, relative to the order cubed.
_COSTS = {
    linalg.cholesky_p: 1,
    linalg.triangular_solve_p: 1,
    linalg.lu_p: 1,
    linalg.qr_p: 2,
    linalg.eigh_p: 5,
    linalg.eig_p: 10,
    linalg.svd_p: 10,
}


def _few_at_a_time(primitive: Any) -> Any:
    """Make the batching rule of a decomposition or solve from the usual one."""

    def make(usual: Rule) -> Rule:
        def rule(axis_data: Any, arguments: Sequence[Any], axes: Sequence[Any], **settings: Any) -> tuple[Any, Any]:
            own: Callable[[tuple[int, ...], int | None], tuple[int, ...]] = lambda shape, axis: (
                shape if axis is None else (*shape[:axis], *shape[axis + 1 :])
            )
            shapes = [own(argument.shape, axis) for argument, axis in zip(arguments, axes, strict=True)]
            each = _COSTS[primitive] * max(math.prod(shape) * max(shape[-2:]) for shape in shapes)
            chunk_size = max(1, _ONE_THREAD // max(each, 1))
            if chunk_size >= axis_data.size or all(axis is None for axis in axes):
                return usual(axis_data, arguments, axes, **settings)

            def all_at_once(*arguments: Any) -> Any:
                found, to = usual(axis_data, arguments, axes, **settings)
                leading = [jnp.moveaxis(x, axis, 0) for x, axis in zip(*map(jax.tree.leaves, (found, to)), strict=True)]
                return leading if primitive.multiple_results else leading[0]

            def in_chunks(*arguments: Any) -> Any:
                batched = {i: jnp.moveaxis(arguments[i], axis, 0) for i, axis in enumerate(axes) if axis is not None}
                bind: Any = lambda *arguments: primitive.bind(*arguments, **settings)
                # The batch of a single lane may itself be too large.
                bind = jax.vmap(bind) if each > _ONE_THREAD and len(shapes[0]) > 2 else bind
                one = lambda some: bind(*(some.get(i, x) for i, x in enumerate(arguments)))
                return jax.lax.map(one, batched, batch_size=chunk_size)

            found = on_cpu(in_chunks, all_at_once, *arguments)
            return found, jax.tree.map(lambda _: 0, found)

        return rule

    return make


if FORMER_XLA:
    for _primitive in _COSTS:
        within_jaxlatent(_primitive, _few_at_a_time(_primitive))
