"""Helpers shared by the parts of families: M-step updates, modes, shapes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxlatent.data.namespace import Namespace
from jaxlatent.latent import Expected
from jaxlatent.model.model import Prior
from jaxlatent.typing import Array, ArrayLike

_LARGEST_LOG_SCALE = 30.0

#: M-step updates by name, or by a tuple of names that are updated together: ``p, d, expected -> value`` or values.
Updates: TypeAlias = Mapping[str | tuple[str, ...], Callable[[Namespace, Namespace, Expected], Any]]

#: What a part adds to the priors of a model, by name and in order.
Priors: TypeAlias = dict[str, Prior]


def dims_of(lead: str, prior: Priors, parts: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    """Names of the dimensions of parameters, ``lead`` first, from the ``dims`` of the parts that have them."""
    named = {name: (lead, *rest) for part in parts for name, rest in getattr(part, "dims", {}).items()}
    return {name: dims for name, dims in named.items() if name in prior}


def softmax_of(prior: Priors, parts: Iterable[Any]) -> dict[str, int]:
    """The axes of parameters that are logits of a softmax, from the ``softmax`` of the parts that have them."""
    axes = {name: axis for part in parts for name, axis in getattr(part, "softmax", {}).items()}
    return {name: axis for name, axis in axes.items() if name in prior}


def simplex_mode(counts: Array, concentration: ArrayLike) -> Array:
    """The mode of a Dirichlet posterior, over the last axis.

    It is kept just inside the simplex, since on the boundary a flat prior gives zero times the logarithm of zero.
    """
    mass = jnp.maximum(counts + concentration - 1, jnp.finfo(counts.dtype).tiny)
    return jnp.maximum(mass / jnp.sum(mass, -1, keepdims=True), jnp.finfo(counts.dtype).tiny)


def rows(value: Array, event_dim: int) -> Array:
    """``(..., *event)`` as ``(N, *event)``."""
    return value.reshape(-1, *value.shape[value.ndim - event_dim :])


def columns(value: Array, event_dim: int) -> Array:
    """``(...,)`` as ``(N,)``, or with ``event_dim`` 1 ``(..., D)`` as ``(D, N)``: all sequences of a step, then those of the next.

    So do the messages of a hidden Markov model lie in memory, and what goes along with them need not be transposed. The order is not that
    of `rows`.
    """
    return value.T.reshape(*value.shape[value.ndim - event_dim :], -1)


def from_columns(value: Array, leading: tuple[int, ...]) -> Array:
    """The inverse of `columns`: ``(D, N)`` as ``(*leading, D)``."""
    back: Array = value.reshape(*value.shape[:-1], *leading[::-1]).T
    return back


def weights_of(expected: Expected) -> Array:
    """The responsibility of each state for each row, ``(N, K)``."""
    assert expected.weights is not None
    return rows(expected.weights, 1)


def event_shape(num_states: int, dim: int | None) -> tuple[int, ...]:
    """``(K,)`` for scalar observations, ``(K, D)`` for vectors."""
    return (num_states,) if dim is None else (num_states, dim)


def floored_scale(log_scale: Array, floor: float) -> Array:
    """``exp(log_scale) + floor``, without overflow of value or gradient."""
    return _bounded_exp(log_scale) + floor


@jax.custom_jvp
def _bounded_exp(x: Array) -> Array:
    return jnp.exp(jnp.minimum(x, _LARGEST_LOG_SCALE))


@_bounded_exp.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # The derivative of exp is its value, which avoids the select that a minimum would add.
    y = _bounded_exp(*primals)
    return y, y * tangents[0]
