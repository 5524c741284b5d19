"""Minibatches of the rows of the data, and held-out rows for early stopping."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxlatent.data.arrays import shape_of
from jaxlatent.engines.base import when
from jaxlatent.errors import InputError, require
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, LogDensity, Position

#: Evaluations between two validations without minibatches.
_VALIDATE_EVERY = 10


class Rows(NamedTuple):
    """The split of the rows, and the validation of a lane.

    Attributes:
        training: indices of the training rows, in the order of this epoch.
        held: indices of the held-out rows.
        score: last log likelihood per held-out row.
        best: the position with the highest score.
        best_score: its score.
        since: validations since then.
    """

    training: Array
    held: Array
    score: Array
    best: Position
    best_score: Array
    since: Array


class Table(NamedTuple):
    """The number of rows of some data, and which entries have them.

    Attributes:
        length: number of rows.
        names: entries of the data with these rows.
    """

    length: int
    names: tuple[str, ...]

    def of(self, posterior: Posterior, index: Array) -> Posterior:
        """The posterior given some rows only."""
        data = {
            name: jax.tree.map(lambda x: x[index], value) if name in self.names else value
            for name, value in posterior.data.items()
        }
        return replace(posterior, data=data)


def find_rows(posterior: Posterior) -> Table:
    """Find the rows: the leading axis of the observations, and of every other entry of the data of the same length.

    Raises:
        InputError: if the posterior does not know its observations, or if they are not equally long.
    """
    observed: Any = {}

    def walk() -> None:
        params = posterior.constrain(jnp.zeros(posterior.dim))
        observed.update(posterior.density.observed(params, posterior.data))

    jax.eval_shape(walk)
    lengths = {name: d.shape()[:1] for name, d in observed.items()}
    if len(set(lengths.values())) != 1 or () in lengths.values():
        raise InputError(
            "Optimize(batch_size=..., validation=...)",
            got=f"observations with {lengths or 'unknown'} rows",
            expected="observations that all lead with the same rows",
            remedy="leave both out.",
        )
    (length,) = next(iter(lengths.values()))
    return Table(length, tuple(name for name, value in posterior.data.items() if shape_of(value)[:1] == (length,)))


def split_rows(order: Array, validation: float, batch_size: int | None, position: Position) -> Rows:
    """Split the rows, in random ``order``, into a fraction ``validation`` held out and the rest for training."""
    length = order.shape[0]
    held = round(validation * length)
    training = length - held
    require(
        validation == 0 or held >= 1,
        "Optimize(validation=...)",
        got=validation,
        expected=f"at least 1 of {length} rows",
    )
    require(
        batch_size is None or batch_size <= training,
        "Optimize(batch_size=...)",
        got=batch_size,
        expected=f"at most the {training} rows that are trained on",
    )
    low = jnp.full((), -jnp.inf, position.dtype)
    return Rows(order[held:], order[:held], low, position, low, jnp.zeros((), jnp.int32))


def next_batch(rows: Rows, key: Key, evaluations: Array, batch_size: int | None) -> tuple[Rows, Array]:
    """The rows of the next evaluation: all, or the next minibatch; reshuffles at each epoch, dropping the remainder."""
    if batch_size is None:
        return rows, rows.training
    batches = rows.training.shape[0] // batch_size
    shuffle = lambda order: jax.random.permutation(jax.random.fold_in(key, evaluations), order)
    order = when(evaluations % batches == 0, shuffle, rows.training)
    batch = jax.lax.dynamic_slice_in_dim(order, (evaluations % batches) * batch_size, batch_size)
    return rows._replace(training=order), batch


def validate(rows: Rows, evaluations: Array, batch_size: int | None, position: Position, cost: LogDensity) -> Rows:
    """At the end of an epoch, score ``position`` on the held-out rows by ``cost`` per row."""
    every = _VALIDATE_EVERY if batch_size is None else rows.training.shape[0] // batch_size

    def update(rows: Rows) -> Rows:
        score = -cost(position)
        better = score > rows.best_score
        return rows._replace(
            score=score,
            best=jnp.where(better, position, rows.best),
            best_score=jnp.where(better, score, rows.best_score),
            since=jnp.where(better, 0, rows.since + 1),
        )

    return when(evaluations % every == 0, update, rows)
