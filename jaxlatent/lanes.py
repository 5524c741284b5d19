"""The mapping of functions of one lane of one dataset over the grid of all of them."""

from typing import Any

import jax


def over_lanes(fn: Any, in_axes: tuple[int | None, ...]) -> Any:
    """``fn`` of one lane, mapped over ``(dataset, lane)``.

    Args:
        fn: a function of one lane.
        in_axes: by argument: 0 leads with ``(dataset, lane)``; 1 leads with ``dataset`` only, shared by its lanes; None is shared
            by all.
    """
    inner = tuple(0 if axis == 0 else None for axis in in_axes)
    outer = tuple(None if axis is None else 0 for axis in in_axes)
    return jax.vmap(jax.vmap(fn, inner), outer)
