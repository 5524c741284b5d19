"""Where data lie and how far they spread: what makes starts, default priors and M-steps the same in any units and from any origin."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxlatent.data.namespace import mask_of
from jaxlatent.errors import InputError
from jaxlatent.masks import widen
from jaxlatent.models.parts import rows
from jaxlatent.typing import Array


class Units(NamedTuple):
    """The units of columns: ``(values - centre) / spread`` have mean 0 and standard deviation 1.

    Attributes:
        centre: the mean of each column.
        spread: its standard deviation; where that is zero, the size of its centre, or 1.
    """

    centre: Array
    spread: Array


def units_of(values: Array, seen: Array | None) -> Units:
    """The units of ``values`` ``(N, ...)`` over the rows that were ``seen`` ``(N,)``; None where all were.

    A mask that is a constant would be folded by XLA while it compiles, at microseconds a row.
    """
    values = jnp.asarray(values, jnp.result_type(float))
    if seen is not None:
        seen = widen(seen, values.ndim)
    kept = lambda x, otherwise: x if seen is None else jnp.where(seen, x, otherwise)
    count = values.shape[0] if seen is None else jnp.maximum(jnp.sum(seen), 1)
    # From a value among them: sums of small numbers, however far away zero is.
    origin = jnp.max(kept(values, -jnp.inf), 0)
    origin = jnp.where(jnp.isfinite(origin), origin, 0.0)
    off = kept(values - origin, 0.0)
    middle = jnp.sum(off, 0) / count
    off = kept(off - middle, 0.0)
    # By the largest: squares of very small or large numbers leave the range of 32 bits.
    largest = jnp.max(jnp.abs(off), 0)
    scale = jnp.where(largest > 0, largest, 1.0)
    spread = scale * jnp.sqrt(jnp.sum((off / scale) ** 2, 0) / count)
    centre = origin + middle
    return Units(centre, jnp.where(spread > 0, spread, jnp.where(centre == 0, 1.0, jnp.abs(centre))))


def seen_steps(d: Any, leading: tuple[int, ...]) -> Array | None:
    """Which of the steps ``leading`` have an observation ``y``, flat ``(N,)``; None where the data do not say: all of them."""
    mask = mask_of(d, "y")
    if mask is None or jnp.shape(mask) != leading[: jnp.ndim(mask)]:
        return None
    return jnp.broadcast_to(widen(mask, len(leading)), leading).ravel()


def units_of_y(d: Any, dim: int | None = None) -> Units:
    """The units of the observation ``y``: of numbers, or with ``dim`` of the entries of vectors ``(..., dim)``.

    Raises:
        InputError: if there is none, as where draws from a prior are asked for before anything was observed; or if it has no such vectors.
    """
    if "y" not in d:
        raise InputError(
            "a prior in units of the data",
            got=f"data without the observation 'y': {sorted(d)}",
            expected="'y' among the data, as in a fit",
            remedy="add it, or give numbers for what is 'auto' in the emissions, such as prior_scale=2.0.",
        )
    if dim is not None and d.y.shape[-1:] != (dim,):
        raise InputError(
            "data 'y'",
            got=f"shape {d.y.shape}",
            expected=f"(..., {dim}), the entries of each observation on the last axis",
            remedy="leave out `dim` for observations that are numbers.",
        )
    event_dim = 0 if dim is None else 1
    leading = d.y.shape[: d.y.ndim - event_dim]
    return units_of(rows(d.y, event_dim), seen_steps(d, leading))


def units_of_inputs(d: Any, x: Array) -> Units:
    """The units of inputs ``(..., num_inputs)`` over the steps that have an observation, ``(num_inputs,)`` each."""
    return units_of(rows(x, 1), seen_steps(d, x.shape[:-1]))
