"""Seeds, and what random numbers are for.

A key is folded with its purpose before it is folded with any counter (dataset, lane, step), so that no two uses share a stream: not
those within a fit, nor those of different verbs that were given the same seed.
"""

from collections.abc import Callable
from enum import IntEnum, unique
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.errors import InputError
from jaxlatent.typing import Key

#: Far from the small numbers that users fold into keys of their own, or split them by.
_FIRST = 0x6A6C0000


@unique
class Purpose(IntEnum):
    """What random numbers are drawn for: the five of a fit, then one for each verb that takes a seed."""

    START = _FIRST
    SHARED = _FIRST + 1
    INIT = _FIRST + 2
    STEP = _FIRST + 3
    FINISH = _FIRST + 4
    SAMPLE_PRIOR = _FIRST + 5
    PREDICT = _FIRST + 6
    SAMPLE = _FIRST + 7
    SAMPLE_STATES = _FIRST + 8
    FORECAST = _FIRST + 9
    CALIBRATE = _FIRST + 10
    COMPARE = _FIRST + 11
    CHECK = _FIRST + 12


class Streams(NamedTuple):
    """The keys of a fit, ``(dataset, lane)`` each.

    Attributes:
        shared: for what the lanes of a dataset share, ``(dataset,)``.
        start: for where a lane starts.
        init: for its state there.
        step: for its steps, which fold in a counter.
        finish: for its outcome.
    """

    shared: Key
    start: Key
    init: Key
    step: Key
    finish: Key


def as_key(seed: int | Key, what: str = "fit") -> Key:
    """A typed JAX key from an int or such a key; ``what`` takes it, for messages."""
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        return jax.random.key(int(seed))
    if isinstance(seed, jax.Array) and jnp.issubdtype(seed.dtype, jax.dtypes.prng_key) and seed.shape == ():
        return seed
    raise InputError(
        f"{what}(seed=...)",
        got=f"{type(seed).__name__} {seed!r}",
        expected="an int or a typed JAX key",
        remedy="pass an int, or jax.random.key(0) instead of jax.random.PRNGKey(0).",
    )


def key_for(purpose: Purpose, seed: int | Key) -> Key:
    """The key of one purpose, from an int or a typed JAX key."""
    return jax.random.fold_in(as_key(seed, purpose.name.lower()), purpose)


def streams(key: Key, datasets: int, lanes: int) -> Streams:
    """The keys of a fit: of a purpose, then of the dataset, then of the lane by their numbers, however many there are of either."""
    fold = jax.vmap(jax.random.fold_in, (None, 0))
    by_dataset: Callable[[Purpose], Key] = lambda purpose: fold(key_for(purpose, key), jnp.arange(datasets))
    by_lane: Callable[[Purpose], Key] = lambda purpose: jax.vmap(lambda key: fold(key, jnp.arange(lanes)))(
        by_dataset(purpose)
    )
    return Streams(
        shared=by_dataset(Purpose.SHARED),
        start=by_lane(Purpose.START),
        init=by_lane(Purpose.INIT),
        step=by_lane(Purpose.STEP),
        finish=by_lane(Purpose.FINISH),
    )
