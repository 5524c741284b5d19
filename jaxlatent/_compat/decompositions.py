"""Decompositions of many lanes on a CPU: XLA hangs.

- Versions: jaxlib 0.10.
- Upstream: none known in jaxlib's tracker; qiskit-community/ffsim#684 met it. LAPACK's routines came to run in parallel with jaxlib
  0.10: the parts of a large batch go to a pool of threads, and one of these threads waits for them. As many such waits at a time as the
  pool has threads wait for ever: with two cores as two devices, the Cholesky factors of two lanes of 150 rows on each, or the inverses
  of a hundred of 18.
- Gain: fits end. Inside `jaxlatent._compat.tracing`, `jax.vmap` decomposes few matrices at a time: no batch is large enough to be
  given away. A model that is itself a batch of large matrices, in a single lane of a single dataset, is not mapped and may still hang.
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


def _few_at_a_time(primitive: Any) -> Any:
    """The rule of a decomposition or a solution, made from the usual one."""

    def make(usual: Rule) -> Rule:
        def rule(axis_data: Any, arguments: Sequence[Any], axes: Sequence[Any], **settings: Any) -> tuple[Any, Any]:
            own: Callable[[tuple[int, ...], int | None], tuple[int, ...]] = lambda shape, axis: (
                shape if axis is None else (*shape[:axis], *shape[axis + 1 :])
            )
            shapes = [own(argument.shape, axis) for argument, axis in zip(arguments, axes, strict=True)]
            each = _COSTS[primitive] * max(math.prod(shape) * max(shape[-2:]) for shape in shapes)
            together = max(1, _IN_ONE_PIECE // max(each, 1))
            if together >= axis_data.size or all(axis is None for axis in axes):
                return usual(axis_data, arguments, axes, **settings)

            def all_at_once(*arguments: Any) -> Any:
                found, to = usual(axis_data, arguments, axes, **settings)
                leading = [jnp.moveaxis(x, axis, 0) for x, axis in zip(*map(jax.tree.leaves, (found, to)), strict=True)]
                return leading if primitive.multiple_results else leading[0]

            def in_turn(*arguments: Any) -> Any:
                batched = {i: jnp.moveaxis(arguments[i], axis, 0) for i, axis in enumerate(axes) if axis is not None}
                bind: Any = lambda *arguments: primitive.bind(*arguments, **settings)
                # What a lane decomposes may itself be too large a batch.
                bind = jax.vmap(bind) if each > _IN_ONE_PIECE and len(shapes[0]) > 2 else bind
                one = lambda some: bind(*(some.get(i, x) for i, x in enumerate(arguments)))
                return jax.lax.map(one, batched, batch_size=together)

            found = on_cpu(in_turn, all_at_once, *arguments)
            return found, jax.tree.map(lambda _: 0, found)

        return rule

    return make


if FORMER_XLA:
    for _primitive in _COSTS:
        within_jaxlatent(_primitive, _few_at_a_time(_primitive))
