"""Rows of the data: minibatches to train on, and rows held out to tell when to stop."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxlatent.data.arrays import shape_of
from jaxlatent.engines.base import when
from jaxlatent.errors import InputError, require
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, LogDensity, Position

#: Evaluations between two looks at the rows held out, where all others are trained on at once.
_LOOK = 10


class Rows(NamedTuple):
    """Which rows a lane uses, and how it does on those held out.

    Attributes:
        training: indices, in the order of this epoch.
        held: indices.
        score: log likelihood per row held out when last looked at.
        best: the position that did best there.
        best_score: its score.
        since: looks since then.
    """

    training: Array
    held: Array
    score: Array
    best: Position
    best_score: Array
    since: Array


class Table(NamedTuple):
    """What the rows of some data are.

    Attributes:
        length: how many there are.
        names: the entries of the data that have them.
    """

    length: int
    names: tuple[str, ...]

    def of(self, posterior: Posterior, index: Array) -> Posterior:
        """The posterior of some rows only."""
        data = {
            name: jax.tree.map(lambda x: x[index], value) if name in self.names else value
            for name, value in posterior.data.items()
        }
        return replace(posterior, data=data)


def find_rows(posterior: Posterior) -> Table:
    """Rows are what observations lead with; every entry of the data that is as long has them too.

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
    """The rows, in a random order, split into a fraction held out and the rest to train on."""
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
    """The rows of the next evaluation: all, or the next batch; a new order at the end of an epoch, whose remainder is left out."""
    if batch_size is None:
        return rows, rows.training
    batches = rows.training.shape[0] // batch_size
    shuffle = lambda order: jax.random.permutation(jax.random.fold_in(key, evaluations), order)
    order = when(evaluations % batches == 0, shuffle, rows.training)
    batch = jax.lax.dynamic_slice_in_dim(order, (evaluations % batches) * batch_size, batch_size)
    return rows._replace(training=order), batch


def look(rows: Rows, evaluations: Array, batch_size: int | None, position: Position, cost: LogDensity) -> Rows:
    """At the end of an epoch: how well a position does on the rows held out, by ``cost`` per row."""
    every = _LOOK if batch_size is None else rows.training.shape[0] // batch_size

    def see(rows: Rows) -> Rows:
        score = -cost(position)
        better = score > rows.best_score
        return rows._replace(
            score=score,
            best=jnp.where(better, position, rows.best),
            best_score=jnp.where(better, score, rows.best_score),
            since=jnp.where(better, 0, rows.since + 1),
        )

    return when(evaluations % every == 0, see, rows)
