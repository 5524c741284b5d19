"""Centre and spread of data, which make starts, default priors and M-steps invariant to units and origin."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxlatent.data.namespace import Namespace, mask_of
from jaxlatent.errors import InputError, or_add
from jaxlatent.masks import widen
from jaxlatent.models.parts import rows
from jaxlatent.typing import Array, ArrayLike


class Units(NamedTuple):
    """Centre and spread of columns: ``(values - centre) / spread`` have mean 0 and standard deviation 1.

    Attributes:
        centre: mean of each column.
        spread: standard deviation of each column; if zero, the absolute value of its centre, or 1.
    """

    centre: Array
    spread: Array


def units_of(values: Array, seen: Array | None) -> Units:
    """The units of ``values`` ``(N, ...)`` over the observed rows ``seen`` ``(N,)``; None for all rows.

    None rather than a constant mask, which XLA would fold at compile time, at microseconds per row.
    """
    values = jnp.asarray(values, jnp.result_type(float))
    if not values.shape[0]:
        raise InputError(
            "the rows of the data",
            got="none",
            expected="at least one",
            remedy="check how the data were selected.",
        )
    if seen is not None:
        seen = widen(seen, values.ndim)
    kept: Callable[[Array, ArrayLike], Array] = lambda x, otherwise: (
        x if seen is None else jnp.where(seen, x, otherwise)
    )
    count = values.shape[0] if seen is None else jnp.maximum(jnp.sum(seen), 1).astype(values.dtype)
    # Relative to one of the values, so that sums stay accurate far from zero.
    origin = jnp.max(kept(values, -jnp.inf), 0)
    origin = jnp.where(jnp.isfinite(origin), origin, 0.0)
    off = kept(values - origin, 0.0)
    middle = jnp.sum(off, 0) / count
    off = kept(off - middle, 0.0)
    # Scaled by the largest, since squares of very small or large numbers leave the range of 32 bits.
    largest = jnp.max(jnp.abs(off), 0)
    scale = jnp.where(largest > 0, largest, 1.0)
    spread = scale * jnp.sqrt(jnp.sum((off / scale) ** 2, 0) / count)
    centre = origin + middle
    return Units(centre, jnp.where(spread > 0, spread, jnp.where(centre == 0, 1.0, jnp.abs(centre))))


def axis_remedy(name: str, shape: tuple[int, ...], size: int, setting: str) -> str:
    """What to do about data whose last axis is not of the ``size`` that the model has as a ``setting``."""
    if shape[-2:-1] == (size,):
        return f"it looks transposed: give {name}.T." if len(shape) == 2 else f"give np.swapaxes({name}, -1, -2)."
    if size == 1:
        return f"give {name}[..., None]."
    return f"give arrays with {size} entries there" + (f", or set {setting}={shape[-1]}." if len(shape) > 1 else ".")


def seen_steps(d: Namespace, leading: tuple[int, ...]) -> Array | None:
    """Which steps, of shape ``leading``, have an observation ``y``, flat ``(N,)``; None if ``y`` has no mask."""
    mask = mask_of(d, "y")
    if mask is None or jnp.shape(mask) != leading[: jnp.ndim(mask)]:
        return None
    return jnp.broadcast_to(widen(mask, len(leading)), leading).ravel()


def units_of_y(d: Namespace, dim: int | None = None) -> Units:
    """The units of the observation ``y``: of scalars, or with ``dim`` of the entries of vectors ``(..., dim)``.

    Raises:
        InputError: if the data have no ``y``, as when drawing from the prior; or if its last axis is not ``dim``.
    """
    if "y" not in d:
        raise InputError(
            "a prior in units of the data",
            got=f"data without the observation 'y': {sorted(d)}",
            expected="'y' among the data, as in a fit",
            remedy=f"{or_add('y', d)} Or give numbers for the 'auto' settings of the emissions, such as prior_scale=2.0.",
        )
    if dim is not None and d.y.shape[-1:] != (dim,):
        raise InputError(
            "data 'y'",
            got=f"shape {d.y.shape}",
            expected=f"(..., {dim}), the entries of each observation on the last axis",
            remedy=axis_remedy("y", d.y.shape, dim, "dim")
            if d.y.ndim > 1
            else "leave out `dim` for scalar observations.",
        )
    event_dim = 0 if dim is None else 1
    leading = d.y.shape[: d.y.ndim - event_dim]
    return units_of(rows(d.y, event_dim), seen_steps(d, leading))


def units_of_inputs(d: Namespace, x: Array) -> Units:
    """The units of inputs ``(..., num_inputs)`` over the steps that have an observation, ``(num_inputs,)`` each."""
    return units_of(rows(x, 1), seen_steps(d, x.shape[:-1]))
