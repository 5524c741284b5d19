"""`over_lanes`: vmap a function of one lane of one dataset over the grid of datasets and lanes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxlatent.typing import SamePyTree


def over_lanes(fn: Callable[..., SamePyTree], in_axes: tuple[int | None, ...]) -> Callable[..., SamePyTree]:
    """Map ``fn`` over ``(dataset, lane)``.

    Args:
        fn: a function of one lane.
        in_axes: by argument: 0 leads with ``(dataset, lane)``; 1 leads with ``dataset`` and is shared by its lanes; None is shared
            by all.
    """
    inner = tuple(0 if axis == 0 else None for axis in in_axes)
    outer = tuple(None if axis is None else 0 for axis in in_axes)
    return _mapped(_mapped(fn, inner), outer)


def _mapped(fn: Callable[..., SamePyTree], in_axes: tuple[int | None, ...]) -> Callable[..., SamePyTree]:
    """``jax.vmap``, but a plain call for an axis of size one: a batched product of one matrix is slower than the plain product."""

    def call(*arguments: Any) -> SamePyTree:
        mapped = [argument for argument, axis in zip(arguments, in_axes, strict=True) if axis == 0]
        if {x.shape[0] for x in jax.tree.leaves(mapped)} != {1}:
            return jax.vmap(fn, in_axes)(*arguments)
        one: Callable[[Any], Any] = lambda argument: jax.tree.map(lambda x: x[0], argument)
        out = fn(*(one(argument) if axis == 0 else argument for argument, axis in zip(arguments, in_axes, strict=True)))
        batch: SamePyTree = jax.tree.map(lambda x: jnp.asarray(x)[None], out)
        return batch

    return call
