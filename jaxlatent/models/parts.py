"""What the parts of families share: updates of an M-step, modes, starts."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxlatent.latent import Expected
from jaxlatent.typing import Array, ArrayLike, Key

_LARGEST_LOG_SCALE = 30.0

#: By name, or by several names that are raised together: ``p, d, expected -> value`` or values.
Updates: TypeAlias = Mapping[Any, Callable[[Any, Any, Any], Any]]


def simplex_mode(counts: Array, concentration: ArrayLike) -> Array:
    """The mode of a Dirichlet posterior, on the last axis; where prior and counts pull out of the simplex, next to its border.

    Not on it: a flat prior would meet zero times the logarithm of zero there.
    """
    mass = jnp.maximum(counts + concentration - 1, jnp.finfo(counts.dtype).tiny)
    return jnp.maximum(mass / jnp.sum(mass, -1, keepdims=True), jnp.finfo(counts.dtype).tiny)


def rows(value: Array, event_dim: int) -> Array:
    """``(..., *event)`` as ``(N, *event)``."""
    return value.reshape(-1, *value.shape[value.ndim - event_dim :])


def cluster(key: Key, points: Array, mask: Array, count: int, rounds: int = 10) -> Array:
    """Labels of points ``(N, D)`` by k-means from a k-means++ start (Arthur and Vassilvitskii 2007), one-hot ``(N, K)``.

    Args:
        key: a typed JAX key.
        points: scaled by their spread first.
        mask: ``(N,)``: which points count.
        count: of clusters.
        rounds: of Lloyd's algorithm.
    """
    seen = mask[:, None].astype(points.dtype)
    total = jnp.maximum(jnp.sum(seen), 1)
    mean = jnp.sum(points * seen, 0) / total
    spread = jnp.sqrt(jnp.sum((points - mean) ** 2 * seen, 0) / total)
    points = (points - mean) / jnp.where(spread > 0, spread, 1.0)
    distances = lambda centres: jnp.sum((points[:, None] - centres) ** 2, -1)

    def pick(k: int, centres: Array) -> Array:
        chosen = jnp.arange(count) < k
        nearest = jnp.min(jnp.where(chosen, distances(centres), jnp.inf), -1)
        odds = jnp.where(mask, jnp.where(k > 0, nearest, 1.0), 0.0)
        return centres.at[k].set(points[jax.random.categorical(jax.random.fold_in(key, k), jnp.log(odds))])

    centres = jax.lax.fori_loop(0, count, pick, jnp.zeros((count, points.shape[1]), points.dtype))
    label = lambda centres: jax.nn.one_hot(jnp.argmin(distances(centres), -1), count, dtype=points.dtype) * seen

    def lloyd(_: int, centres: Array) -> Array:
        labels = label(centres)
        sizes = jnp.sum(labels, 0)[:, None]
        return jnp.where(sizes > 0, labels.T @ points / jnp.maximum(sizes, 1), centres)

    return label(jax.lax.fori_loop(0, rounds, lloyd, centres))


def windows(key: Key, mask: Array, count: int, length: int) -> Array:
    """A random stretch of neighbouring rows for each component, one-hot ``(N, K)``: where a regression can start."""
    size = mask.shape[0]
    first = jax.random.randint(key, (count,), 0, max(size - length, 0) + 1)
    index = jnp.arange(size)[:, None]
    return ((index >= first) & (index < first + length) & mask[:, None]).astype(jnp.result_type(float))


def weights_of(expected: Expected) -> Array:
    """How much each row belongs to each state, ``(N, K)``."""
    assert expected.weights is not None
    return rows(expected.weights, 1)


def event_shape(num_states: int, dim: int | None) -> tuple[int, ...]:
    """``(K,)`` for scalar observations, ``(K, D)`` for vectors."""
    return (num_states,) if dim is None else (num_states, dim)


def floored_scale(log_scale: Array, floor: float) -> Array:
    """``exp(log_scale) + floor``, kept from overflowing, and its gradient with it."""
    return _bounded_exp(log_scale) + floor


@jax.custom_jvp
def _bounded_exp(x: Array) -> Array:
    return jnp.exp(jnp.minimum(x, _LARGEST_LOG_SCALE))


@_bounded_exp.defjvp
def _(primals, tangents):
    # Its own derivative, where that of a minimum is a select.
    y = _bounded_exp(*primals)
    return y, y * tangents[0]


class Clustered:
    """Emissions that start from k-means on the observations themselves."""

    def labels(self, key: Key, d: Any, mask: Array, num_states: int, sequences: bool) -> Array:
        """One-hot labels ``(N, K)``."""
        return cluster(key, d.y.reshape(mask.size, -1).astype(jnp.result_type(float)), mask, num_states)
