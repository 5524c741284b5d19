"""Initial labels of components or states: k-means, and random windows."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxlatent.data.namespace import Namespace
from jaxlatent.models.units import units_of
from jaxlatent.typing import Array, Key


def cluster(key: Key, points: Array, mask: Array, count: int, rounds: int = 10) -> Array:
    """Labels of points ``(N, D)`` by k-means from a k-means++ start (Arthur and Vassilvitskii 2007), one-hot ``(N, K)``.

    Args:
        key: a typed JAX key.
        points: in any units; they are standardised first.
        mask: ``(N,)``, which points to use.
        count: number of clusters.
        rounds: iterations of Lloyd's algorithm.
    """
    units, seen = units_of(points, mask), mask[:, None]
    points = jnp.where(seen, (points - units.centre) / units.spread, 0.0)
    distances: Callable[[Array], Array] = lambda centres: jnp.sum((points[:, None] - centres) ** 2, -1)

    def pick(k: Array, centres: Array) -> Array:
        chosen = jnp.arange(count) < k
        nearest = jnp.min(jnp.where(chosen, distances(centres), jnp.inf), -1)
        odds = jnp.where(mask, jnp.where(k > 0, nearest, 1.0), 0.0)
        # By inversion of one uniform number, so that masked rows do not change the draw.
        below = jnp.cumsum(odds)
        drawn = jnp.searchsorted(below, jax.random.uniform(jax.random.fold_in(key, k)) * below[-1], side="right")
        return centres.at[k].set(points[drawn])

    centres = jax.lax.fori_loop(0, count, pick, jnp.zeros((count, points.shape[1]), points.dtype))
    label: Callable[[Array], Array] = lambda centres: (
        jax.nn.one_hot(jnp.argmin(distances(centres), -1), count, dtype=points.dtype) * seen.astype(points.dtype)
    )

    def lloyd(_: Array, centres: Array) -> Array:
        labels = label(centres)
        sizes = jnp.sum(labels, 0)[:, None]
        return jnp.where(sizes > 0, labels.T @ points / jnp.maximum(sizes, 1), centres)

    return label(jax.lax.fori_loop(0, rounds, lloyd, centres))


def windows(key: Key, mask: Array, count: int, length: Array) -> Array:
    """A random window of consecutive unmasked rows for each component, one-hot ``(N, K)``, to start a regression from."""
    first = jax.random.randint(key, (count,), 0, jnp.maximum(jnp.sum(mask) - length, 0) + 1)
    index = (jnp.cumsum(mask) - 1)[:, None]
    return ((index >= first) & (index < first + length) & mask[:, None]).astype(jnp.result_type(float))


class Clustered:
    """Base of emissions that start from k-means on the observations."""

    def labels(self, key: Key, d: Namespace, mask: Array, num_states: int, sequences: bool) -> Array:
        """One-hot labels ``(N, K)``."""
        return cluster(key, d.y.reshape(mask.size, -1).astype(jnp.result_type(float)), mask, num_states)
